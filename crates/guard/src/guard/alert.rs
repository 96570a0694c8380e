//! Telling people: which alert goes where, not the same one again and again, and again when it did not get through.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use menshen_core::{Alert, Instant};
use menshen_os::Place;
use menshen_plan::definition::{AlertKind, ServiceName};
use menshen_plan::plan::{AlertPlan, AlertRoute, Plan};
use serde::Serialize;
use tokio::runtime::Handle;

use super::input::{Input, Inputs};
use super::status::word;
use crate::http_call::{HttpCall, call_within};

/// How many deliveries may be under way; more than this in one go help nobody.
const DELIVERIES_MAX: usize = 256;
/// The wait before the second try; doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// No wait between tries is longer.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Where the commands of alerts may run: each alone, so that its end is nobody else's. A next guard knows them all, and ends
/// what an earlier one left there.
pub(super) fn places() -> impl Iterator<Item = Place> {
    // No service's name begins with a dot.
    (0..DELIVERIES_MAX).map(|number| Place { service: format!(".alert-{number}"), role: "command".to_owned() })
}

/// What is told.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Payload {
    pub instance: String,
    pub host: String,
    pub kind: AlertKind,
    pub service: Option<ServiceName>,
    pub text: String,
    pub time: menshen_api::Time,
}

/// One alert on its way to one receiver.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub route: ServiceName,
    pub plan: Arc<AlertPlan>,
    pub payload: Arc<Payload>,
    /// From 0.
    pub attempt: u8,
}

/// What was told when.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    told: HashMap<(ServiceName, Option<ServiceName>, AlertKind), Instant>,
    under_way: usize,
}

impl Alerts {
    /// Who is to be told of an alert now. What was told not long ago is not told again, unless its end was told in between.
    pub(crate) fn deliveries(
        &mut self,
        plan: &Plan,
        alert: &Alert,
        payload: &Arc<Payload>,
        now: Instant,
    ) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for (route, receiver) in &plan.alerts {
            let concerned = receiver
                .services
                .as_ref()
                .is_none_or(|names| alert.service.as_ref().is_none_or(|name| names.contains(name)));
            if !concerned || !receiver.on.contains(&alert.kind) {
                continue;
            }
            let key = (route.clone(), alert.service.clone(), alert.kind);
            if self.told.get(&key).is_some_and(|last| now.since(*last) < receiver.repeat_after) {
                continue;
            }
            if alert.kind == AlertKind::Recovered {
                self.told.retain(|(told_route, service, _), _| told_route != route || *service != alert.service);
            } else {
                self.told.insert(key, now);
            }
            deliveries.push(Delivery {
                route: route.clone(),
                plan: Arc::clone(receiver),
                payload: Arc::clone(payload),
                attempt: 0,
            });
        }
        deliveries
    }

    /// Takes a place for a delivery; `false` if there are too many.
    pub(crate) fn begin(&mut self, delivery: &Delivery) -> bool {
        let free = self.under_way < DELIVERIES_MAX;
        self.under_way += usize::from(free);
        if !free {
            self.was_not_told(delivery);
        }
        free
    }

    /// Whether some have not got through yet and have not been given up.
    pub(crate) const fn are_under_way(&self) -> bool {
        self.under_way > 0
    }

    /// Gives the place back.
    pub(crate) fn end(&mut self, delivery: &Delivery, got_through: bool) {
        self.under_way = self.under_way.saturating_sub(1);
        if !got_through {
            self.was_not_told(delivery);
        }
    }

    /// What nobody heard was not told: the next time comes without waiting.
    fn was_not_told(&mut self, delivery: &Delivery) {
        let Payload { service, kind, .. } = &*delivery.payload;
        self.told.remove(&(delivery.route.clone(), service.clone(), *kind));
    }
}

impl Delivery {
    /// What a try that failed leads to: the next one after this long, or the end.
    pub(crate) fn next_try(&self) -> Option<(Self, Duration)> {
        (self.attempt < self.plan.retries).then(|| {
            let wait = RETRY_FIRST.saturating_mul(1 << self.attempt.min(10)).min(RETRY_MAX);
            (Self { attempt: self.attempt + 1, ..self.clone() }, wait)
        })
    }

    /// What is said when nobody could be told.
    pub(crate) fn failure(&self, why: &str) -> String {
        let about = self.payload.service.as_ref().map_or_else(|| "the guard".to_owned(), ToString::to_string);
        self.plan.secrets.mask(&format!("alert '{}' about {about} did not get through: {why}", self.route))
    }

    pub(crate) fn json(&self) -> Vec<u8> {
        serde_json::to_vec(&*self.payload).unwrap_or_default()
    }

    /// The variables of an alert's command.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let service = self.payload.service.as_ref().map(ToString::to_string);
        [
            ("MENSHEN_ALERT_KIND", word(&self.payload.kind)),
            ("MENSHEN_ALERT_SERVICE", service.unwrap_or_default()),
            ("MENSHEN_ALERT_TEXT", self.payload.text.clone()),
            ("MENSHEN_ALERT_INSTANCE", self.payload.instance.clone()),
            ("MENSHEN_ALERT_HOST", self.payload.host.clone()),
            ("MENSHEN_ALERT_TIME", self.payload.time.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Runs the next try later.
    pub(crate) fn run_later(self, wait: Duration, handle: &Handle, inputs: &Inputs) {
        let inputs = inputs.clone();
        handle.spawn(async move {
            tokio::time::sleep(wait).await;
            inputs.send(Input::RunAlert(self)).await;
        });
    }

    /// Calls the webhook until it answers or the tries are used up.
    pub(crate) fn call_webhook(self, handle: &Handle, inputs: &Inputs) {
        let AlertRoute::Webhook { url, headers } = &self.plan.route else { return };
        let mut headers = headers.clone();
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        let call = HttpCall { url: url.clone(), method: "POST".to_owned(), headers, body: self.json() };
        let inputs = inputs.clone();
        handle.spawn(async move {
            let mut delivery = self;
            loop {
                let why = match call_within(&call, delivery.plan.timeout).await {
                    Ok(answer) if (200..300).contains(&answer.status) => {
                        return inputs.send(Input::AlertEnded(delivery, Ok(()))).await;
                    }
                    Ok(answer) => format!("status {}", answer.status),
                    Err(error) => error.to_string(),
                };
                let Some((next, wait)) = delivery.next_try() else {
                    return inputs.send(Input::AlertEnded(delivery, Err(why))).await;
                };
                tokio::time::sleep(wait).await;
                delivery = next;
            }
        });
    }
}
