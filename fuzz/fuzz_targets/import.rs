//! Any text as what another supervisor reads: whatever comes out loads.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use menshen_fuzz::loading::{SEPARATOR, load_parts};
use menshen_fuzz::machine::Machine;
use menshen_plan::import::{Kind, decode, guess, import};
use menshen_plan::{Code, Source};

/// The names the texts of an input have: what is read depends on them.
const NAMES: [&str; 4] = ["web.service", "cache.service", "units/web.service.d/more.conf", "web@blue.service"];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let Ok(text) = decode(rest) else { return };
    let sources: Vec<Source> = text
        .split(SEPARATOR)
        .zip(NAMES)
        .map(|(text, name)| Source { name: name.to_owned(), text: text.to_owned() })
        .collect();
    let _ = guess("web", &sources[0].text);
    let kind = Kind::ALL[usize::from(*first) % Kind::ALL.len()];
    let Ok(imported) = import(kind, &sources, Path::new("/srv"), &Machine::default()) else { return };
    assert!(imported.notes.iter().all(|note| !note.message.is_empty()), "a note says nothing");
    if imported.definition.contains(SEPARATOR) {
        return;
    }
    let (loaded, _) = load_parts(&imported.definition);
    // What has to be set, and files that have to be there, are for whoever starts the guard to see to.
    let own = |code: Code| !matches!(code, Code::UnsetPlaceholder | Code::EnvFile | Code::EnvFileLine);
    let refused = loaded.diagnostics.iter().find(|found| found.refuses() && own(found.code));
    assert!(refused.is_none(), "{kind}: {refused:#?}\n{}", imported.definition);
});
