//! A service that is disabled: what runs goes on, and nothing starts it until it is enabled.

use menshen_tests::init::Init;
use menshen_tests::wait::until;

use super::sample::Stage;
use super::{RUNIT, S6};

/// What runs is the same process after its manager has looked at its folders once more.
fn what_runs_goes_on(init: &Init, manager: &'static str, look_again: &[&str]) {
    let Some(stage) = Stage::boot(init, manager) else { return };
    stage.ask(&["--install"]).done();
    let before = stage.await_shown("running auto");

    stage.ask(&["--tell", "disable"]).done();
    assert_eq!(stage.shown(), before.replace("auto", "manual"));
    stage.ask(&["--install", "--start", "disabled"]).done();
    stage.machine.run(&["sh", "-c", look_again[0]]).done();
    until("the folders were looked at once more", || stage.machine.run(&look_again[1..]).code == 0);
    assert_eq!(stage.shown(), before.replace("auto", "disabled"), "what runs goes on");

    stage.ask(&["--tell", "stop"]).done();
    assert_eq!(stage.shown(), "stopped disabled");
    let refused = stage.ask(&["--tell", "start"]);
    assert!(refused.code != 0 && refused.stderr.contains("it is disabled"), "{refused:?}");
    stage.ask(&["--tell", "enable"]).done();
    assert_eq!(stage.shown(), "stopped auto", "it is started at the next boot");
    stage.ask(&["--tell", "start"]).done();
    stage.await_shown("running auto");
    stage.ask(&["--uninstall"]).done();
    assert_eq!(stage.shown(), "not-installed");
}

#[test]
fn what_runs_of_runit_goes_on_when_it_is_disabled() {
    let another = "mkdir /etc/sv/another && printf '#!/bin/sh\\nexec sleep 3600\\n' >/etc/sv/another/run && chmod +x \
                   /etc/sv/another/run && ln -s /etc/sv/another /etc/service/another";
    what_runs_goes_on(&RUNIT, "runit", &[another, "sv", "status", "another"]);
}

#[test]
fn what_runs_of_s6_goes_on_when_it_is_disabled() {
    let another = "mkdir /run/another && printf '#!/bin/sh\\nexec sleep 3600\\n' >/run/another/run && chmod +x \
                   /run/another/run && ln -s /run/another /run/service/another && s6-svscanctl -an /run/service";
    what_runs_goes_on(&S6, "s6", &[another, "s6-svok", "/run/service/another"]);
}
