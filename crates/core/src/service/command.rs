//! What an operator asks of a service.

use menshen_plan::definition::StartType;

use super::{After, Context, Service};
use crate::effect::{Effect, RecordKind, SignalTarget};
use crate::event::{Command, Refusal};
use crate::state::{State, Wanted};
use crate::transition::Trigger;

impl Service {
    /// Carries out a command, or says why not. Either way it is in the journal.
    pub(crate) fn command(&mut self, context: &mut Context<'_>, command: Command, by: &str) -> Result<(), Refusal> {
        let result = self.may(context, command);
        let kind = RecordKind::Command { command, refusal: result.err() };
        self.record(context, kind, command.to_string(), Some(by.to_owned()));
        if result.is_ok() {
            self.carry_out(context, command, by);
        }
        context.changed.insert(self.id);
        result
    }

    fn may(&self, context: &Context<'_>, command: Command) -> Result<(), Refusal> {
        let main_lives = self.main_lives();
        match command {
            Command::Start | Command::Restart if self.gone => Err(Refusal::NoSuchService),
            Command::Start | Command::Restart | Command::Continue | Command::Reset if context.shutting_down => {
                Err(Refusal::ShuttingDown)
            }
            Command::Start | Command::Restart if self.plan.start == StartType::Disabled => Err(Refusal::Disabled),
            Command::Pause if context.shutting_down => Err(Refusal::ShuttingDown),
            Command::Pause if self.state().is_at_rest() || self.life.wanted == Wanted::Down => Err(Refusal::NotRunning),
            Command::Continue if self.life.wanted != Wanted::Paused => Err(Refusal::NotPaused),
            Command::Signal(_) if !main_lives => Err(Refusal::NotRunning),
            Command::Reload if self.plan.reload.signal.is_none() => Err(Refusal::NoReloadSignal),
            Command::Reload if !main_lives => Err(Refusal::NotRunning),
            Command::Start
            | Command::Stop
            | Command::Restart
            | Command::Pause
            | Command::Continue
            | Command::Reset
            | Command::Signal(_)
            | Command::Reload => Ok(()),
        }
    }

    fn carry_out(&mut self, context: &mut Context<'_>, command: Command, by: &str) {
        match command {
            Command::Start => {
                self.want(Wanted::Up);
                self.go_up(context, format!("started by {by}"));
            }
            Command::Stop => {
                self.want(Wanted::Down);
                self.go_down(context, format!("stopped by {by}"));
            }
            Command::Restart => {
                self.want(Wanted::Up);
                self.restart(context, format!("restarted by {by}"));
            }
            Command::Pause => {
                self.want(Wanted::Paused);
                if matches!(self.state(), State::Running | State::Continuing) {
                    self.pause(context, format!("paused by {by}"));
                }
            }
            Command::Continue => {
                self.want(Wanted::Up);
                if matches!(self.state(), State::Pausing | State::Paused) {
                    self.unfreeze(context, format!("continued by {by}"));
                }
            }
            Command::Reset => self.forgive(context, by),
            Command::Signal(signal) => self.send(context, signal),
            Command::Reload => self.read_again(context),
        }
    }

    fn want(&mut self, wanted: Wanted) {
        self.life.wanted = wanted;
        self.life.wanted_by_operator = true;
    }

    fn send(&self, context: &mut Context<'_>, signal: menshen_plan::signal::Signal) {
        if let Some(run) = self.main_run() {
            context.effects.push(Effect::Signal { run, target: SignalTarget::Main, signal });
        }
    }

    /// Starts the service from wherever it is.
    pub(crate) fn go_up(&mut self, context: &mut Context<'_>, reason: String) {
        self.life.stopped_by_rule = false;
        self.life.delayed = false;
        match self.state() {
            State::Failed => {
                self.reset_breaker();
                self.make_due(context, reason);
            }
            State::Stopped | State::Completed | State::Backoff | State::Tripped => self.make_due(context, reason),
            State::Waiting => self.life.due_reason = reason,
            State::Pausing | State::Paused => {
                self.life.stop_held = false;
                self.unfreeze(context, reason);
            }
            State::Stopping => self.life.after = Some(After::Wanted { reason }),
            State::Starting | State::Running | State::Continuing => self.keep_up(reason),
        }
    }

    /// Takes back a stop that has not begun, because it waits for the services that depend on this one.
    pub(crate) fn keep_up(&mut self, reason: String) {
        if std::mem::take(&mut self.life.stop_held) {
            self.life.reason = reason;
        }
    }

    /// Stops the service from wherever it is; a program that others depend on waits for their end.
    pub(crate) fn go_down(&mut self, context: &mut Context<'_>, reason: String) {
        self.life.due = false;
        match self.state() {
            State::Waiting | State::Backoff | State::Tripped if self.life.fallback.run.is_some() => {
                self.begin_stop(context, self.after_going_down(&reason), reason);
            }
            State::Waiting | State::Backoff | State::Tripped | State::Failed => {
                self.enter(context, Trigger::End, reason);
            }
            State::Starting | State::Running | State::Pausing | State::Paused | State::Continuing => {
                self.life.stop_held = true;
                self.life.reason = reason;
            }
            State::Stopping => self.life.after = Some(self.after_going_down(&reason)),
            State::Stopped | State::Completed => {}
        }
        context.changed.insert(self.id);
    }

    fn restart(&mut self, context: &mut Context<'_>, reason: String) {
        self.life.stop_held = false;
        if matches!(self.state(), State::Starting | State::Running | State::Pausing | State::Paused | State::Continuing)
        {
            self.begin_stop(context, After::Wanted { reason: reason.clone() }, reason);
        } else {
            self.go_up(context, reason);
        }
    }

    /// Forgets restarts, failures and the breaker, and goes on as wanted.
    fn forgive(&mut self, context: &mut Context<'_>, by: &str) {
        let reason = format!("reset by {by}");
        self.life.restarts = 0;
        self.reset_breaker();
        context.timers.cancel(self.id, crate::timer::Timer::Close);
        context.timers.cancel(self.id, crate::timer::Timer::Forget);
        match self.state() {
            State::Failed => {
                self.enter(context, Trigger::Reset, reason.clone());
                if self.life.wanted != Wanted::Down {
                    self.make_due(context, reason);
                }
            }
            State::Backoff | State::Tripped => self.make_due(context, reason),
            State::Stopping => {
                if let Some(After::Retry { .. } | After::Trip { .. } | After::Fail { .. }) = self.life.after {
                    self.life.after = Some(After::Wanted { reason });
                }
            }
            State::Running if self.life.ready => self.recovered(context, reason),
            State::Stopped
            | State::Waiting
            | State::Starting
            | State::Running
            | State::Pausing
            | State::Paused
            | State::Continuing
            | State::Completed => {}
        }
    }
}
