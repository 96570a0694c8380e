//! Programs that end by themselves, and what their exit means.

use menshen_tests::events::Mark;
use menshen_tests::{Bed, State, with_both_trees};

with_both_trees! {
    fn what_an_exit_means_is_what_the_definition_says(trees: Trees) {
        let table = [
            ("exit 0", "on_exit = { 0 = \"stop\" }", State::Stopped, "exit 0"),
            ("exit 64", "on_exit = { 64 = \"fail\" }", State::Failed, "exit 64"),
            ("kill -USR1 $$$$", "on_exit = { SIGUSR1 = \"stop\" }", State::Stopped, "killed by SIGUSR1"),
            ("exit 0", "policy = \"on-failure\"", State::Stopped, "exit 0"),
            ("exit 3", "policy = \"never\"", State::Failed, "exit 3"),
            ("kill -KILL $$$$", "policy = \"never\"", State::Failed, "killed by SIGKILL"),
            ("exit 5", "policy = \"always\"", State::Backoff, "exit 5"),
        ];
        let name = |number: usize| format!("program-{number}");
        let definition = table.iter().enumerate().fold(String::new(), |text, (number, (script, restart, ..))| {
            text + &format!(
                "[service.{}]\ncommand = [\"sh\", \"-c\", \"echo last words; {script}\"]\n[service.{0}.restart]\ndelay = \"30s\"\n{restart}\n",
                name(number)
            )
        });
        let bed = Bed::new(trees, &definition).up();
        for (number, (script, restart, state, word)) in table.iter().enumerate() {
            let event = bed.await_entry(Mark::BEGIN, &name(number), *state);
            assert!(event.reason.contains(word), "{script} with {restart}: {event:?}");
            let detail = bed.service(&name(number));
            assert_eq!(detail.service.state, *state, "{script} with {restart}");
            assert_eq!(detail.service.last_exit.as_deref(), Some(*word), "{script} with {restart}");
            assert_eq!(detail.log.last().map(|line| line.text.as_str()), Some("last words"), "{script}");
        }
    }
}
