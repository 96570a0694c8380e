//! Definitions made from the schema: what it admits has known keys and right types, and a reload between two of them shows
//! no secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use menshen_fuzz::loading::{assert_no_secret, assert_sound, load_parts};
use menshen_fuzz::shape::Shaped;
use menshen_plan::{Code, diff};

fuzz_target!(|definitions: (Shaped, Option<Shaped>)| {
    let (first, second) = definitions;
    let (old, machine) = load_parts(&first.text);
    assert_sound(&old, &machine);
    for diagnostic in old.diagnostics.iter().filter(|_| !first.deviates) {
        let of_shape = [Code::Syntax, Code::UnknownKey, Code::WrongType].contains(&diagnostic.code);
        assert!(!of_shape, "the schema admits what is refused: {diagnostic:#?}\n{}", first.text);
    }
    let Some(second) = second else { return };
    let (new, _) = load_parts(&second.text);
    if let (Some(running), Some(next)) = (&old.plan, &new.plan) {
        let changes = diff(running, next);
        assert_no_secret(&new, &format!("{changes:?}"));
    }
});
