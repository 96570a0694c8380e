//! Any text as a definition: parse, plan, check, render.
#![no_main]

use libfuzzer_sys::fuzz_target;
use menshen_fuzz::loading::{assert_shown, assert_sound, load_parts};

fuzz_target!(|text: &str| {
    let (loaded, machine) = load_parts(text);
    assert_sound(&loaded, &machine);
    assert_shown(&loaded);
});
