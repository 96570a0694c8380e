//! Windows gives a program one line of text, and each program takes it apart by itself: nearly all by the rules of the C
//! library, which this follows. Batch files are read by `cmd.exe`, which has rules of its own and no way to quote everything.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::path::Path;

/// The longest line the system takes, in UTF-16 units, with its end.
const LINE_MAX: usize = 32_767;
const QUOTE: u16 = b'"' as u16;
const BACKSLASH: u16 = b'\\' as u16;

/// What is read by `cmd.exe`.
pub(super) fn is_batch(program: &Path) -> bool {
    let extension = program.extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| ["bat", "cmd"].iter().any(|batch| batch.eq_ignore_ascii_case(extension)))
}

/// The line of a program and its arguments.
pub(super) fn of_program(command: &[OsString]) -> io::Result<Vec<u16>> {
    let mut line = Vec::new();
    for word in command {
        if !line.is_empty() {
            line.push(u16::from(b' '));
        }
        add_quoted(&mut line, word)?;
    }
    finished(line)
}

/// The line of `cmd.exe` for a batch file and its arguments. What it would not hand on as it is, is refused.
pub(super) fn of_batch(file: &Path, arguments: &[OsString]) -> io::Result<Vec<u16>> {
    // Without extensions turned off or variables put in; the outer quotes are taken away (`cmd /?`).
    let mut line: Vec<u16> = "cmd.exe /e:ON /v:OFF /d /s /c \"".encode_utf16().collect();
    for (index, word) in [file.as_os_str()].into_iter().chain(arguments.iter().map(OsString::as_os_str)).enumerate() {
        if index > 0 {
            line.push(u16::from(b' '));
        }
        let units: Vec<u16> = word.encode_wide().collect();
        let refused = |unit: &&u16| **unit < 0x20 || **unit == QUOTE || **unit == u16::from(b'%');
        if let Some(unit) = units.iter().find(refused) {
            let shown = char::from_u32(u32::from(*unit)).unwrap_or_default();
            return Err(refusal(format!("a batch file cannot be given {shown:?} in '{}'", word.to_string_lossy())));
        }
        line.push(QUOTE);
        line.extend(&units);
        if units.last() == Some(&BACKSLASH) && index > 0 {
            // A program the file passes it on to would take the quote for part of it.
            line.push(BACKSLASH);
        }
        line.push(QUOTE);
    }
    line.push(QUOTE);
    finished(line)
}

fn add_quoted(line: &mut Vec<u16>, word: &OsStr) -> io::Result<()> {
    let units: Vec<u16> = word.encode_wide().collect();
    if units.contains(&0) {
        return Err(refusal(format!("a zero character cannot be part of '{}'", word.to_string_lossy())));
    }
    let plain = |unit: &u16| !matches!(*unit, 0x20 | 0x09 | 0x0a | 0x0b | QUOTE);
    if !units.is_empty() && units.iter().all(plain) {
        line.extend(units);
        return Ok(());
    }
    line.push(QUOTE);
    let mut backslashes = 0;
    for unit in units {
        if unit == BACKSLASH {
            backslashes += 1;
        } else {
            if unit == QUOTE {
                // Those before a quote count half, and one more makes the quote a character.
                line.extend(std::iter::repeat_n(BACKSLASH, backslashes + 1));
            }
            backslashes = 0;
        }
        line.push(unit);
    }
    line.extend(std::iter::repeat_n(BACKSLASH, backslashes));
    line.push(QUOTE);
    Ok(())
}

fn finished(mut line: Vec<u16>) -> io::Result<Vec<u16>> {
    line.push(0);
    if line.len() > LINE_MAX {
        return Err(refusal(format!("the command line is longer than the {LINE_MAX} characters the system takes")));
    }
    Ok(line)
}

fn refusal(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// The environment as the system takes it: sorted by name, whatever its case, each variable once.
pub(super) fn environment_block(variables: &[(OsString, OsString)]) -> io::Result<Vec<u16>> {
    let mut sorted = std::collections::BTreeMap::new();
    for (name, value) in variables {
        let is_name = !name.is_empty() && !name.encode_wide().skip(1).any(|unit| unit == u16::from(b'='));
        if !is_name || name.encode_wide().chain(value.encode_wide()).any(|unit| unit == 0) {
            return Err(refusal(format!("'{}' cannot be a variable", name.to_string_lossy())));
        }
        sorted.insert(name.to_string_lossy().to_uppercase(), (name, value));
    }
    let mut block = Vec::new();
    for (name, value) in sorted.into_values() {
        block.extend(name.encode_wide().chain([u16::from(b'=')]).chain(value.encode_wide()).chain([0]));
    }
    if block.is_empty() {
        block.push(0);
    }
    block.push(0);
    Ok(block)
}

/// The value of a variable, whatever the case of its name.
pub(super) fn variable<'a>(variables: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    let found = variables.iter().rev().find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_os_str())
}

#[cfg(test)]
mod tests {
    use std::os::windows::ffi::OsStringExt as _;

    use proptest::prelude::*;

    use super::*;

    /// Text again.
    fn shown(line: &[u16]) -> String {
        OsString::from_wide(line.split(|unit| *unit == 0).next().unwrap_or_default()).to_string_lossy().into_owned()
    }

    /// Takes a line apart as the system's own function does.
    fn taken_apart(line: &[u16]) -> Vec<OsString> {
        use windows_sys::Win32::Foundation::LocalFree;
        use windows_sys::Win32::UI::Shell::CommandLineToArgvW;
        let mut count = 0;
        // SAFETY: the line ends with a zero; the words end with zeroes, and are let go when they are copied.
        unsafe {
            let words = CommandLineToArgvW(line.as_ptr(), &raw mut count);
            assert!(!words.is_null());
            let words_there = std::slice::from_raw_parts(words, usize::try_from(count).unwrap());
            let copied = words_there.iter().map(|word| {
                let length = (0..).take_while(|at| *word.add(*at) != 0).count();
                OsString::from_wide(std::slice::from_raw_parts(*word, length))
            });
            let copied = copied.collect();
            LocalFree(words.cast());
            copied
        }
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_taken_apart_to_the_same(
            arguments in prop::collection::vec(r#"[ a\\"\t%$'ä\n]{0,8}"#, 0..6),
        ) {
            let command: Vec<OsString> = ["prog.exe".to_owned()].into_iter().chain(arguments).map(Into::into).collect();
            prop_assert_eq!(taken_apart(&of_program(&command).unwrap()), command);
        }
    }

    #[test]
    fn what_a_batch_file_would_not_be_given_as_it_is_is_refused() {
        for word in ["a\"b", "%PATH%", "a\nb"] {
            assert!(of_batch(Path::new("x.bat"), &[word.into()]).is_err(), "{word}");
        }
        let line = of_batch(Path::new(r"C:\a b\x.bat"), &["one & two".into(), "c\\".into()]).unwrap();
        assert!(shown(&line).ends_with(r#"/c ""C:\a b\x.bat" "one & two" "c\\"""#), "{}", shown(&line));
    }

    #[test]
    fn variables_are_sorted_whatever_their_case_and_the_last_counts() {
        let block = environment_block(&[("b".into(), "1".into()), ("A".into(), "2".into()), ("B".into(), "3".into())]);
        assert_eq!(String::from_utf16(&block.unwrap()).unwrap(), "A=2\0B=3\0\0");
        assert!(environment_block(&[("a=b".into(), "".into())]).is_err());
    }
}
