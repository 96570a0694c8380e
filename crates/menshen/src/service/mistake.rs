//! What no service manager can be told.

use std::fmt;

use super::registration::{Registration, Reload};

/// Something in a registration that is wrong whatever the manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// The program is looked for nowhere.
    RelativeProgram,
    /// A text that is passed to a program has NUL in it, which ends a text there.
    Nul {
        /// What.
        what: &'static str,
    },
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RelativeProgram => {
                formatter.write_str("the program has to be an absolute path; it is looked for nowhere")
            }
            Self::Nul { what } => write!(formatter, "{what} has NUL in it, which no program can be passed"),
        }
    }
}

impl Registration {
    /// What is wrong with it whatever the manager, if anything.
    #[must_use]
    pub fn mistake(&self) -> Option<Mistake> {
        let program = self.program.to_string_lossy();
        if !is_absolute(&program) {
            return Some(Mistake::RelativeProgram);
        }
        let reload = match &self.reload {
            Some(Reload::Command(words)) => words.as_slice(),
            Some(Reload::Signal(_) | Reload::Native) | None => &[],
        };
        let has_nul = |words: &[String]| words.iter().any(|word| word.contains('\0'));
        let held = [
            ("the program", program.contains('\0')),
            ("an argument", has_nul(&self.arguments)),
            ("the command that stops it", self.stop_command.as_deref().is_some_and(has_nul)),
            ("the command that reloads it", has_nul(reload)),
        ];
        held.into_iter().find_map(|(what, is_wrong)| is_wrong.then_some(Mistake::Nul { what }))
    }
}

/// On any operating system: a plan can be made elsewhere.
fn is_absolute(path: &str) -> bool {
    let mut characters = path.chars();
    let (first, second, third) = (characters.next(), characters.next(), characters.next());
    let is_drive = first.is_some_and(|letter| letter.is_ascii_alphabetic()) && second == Some(':');
    first == Some('/') || path.starts_with(r"\\") || is_drive && matches!(third, Some('\\' | '/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_everywhere_is_found() {
        let registration = |program: &str| Registration::new("web".parse().unwrap(), program);
        for program in ["/opt/web", r"C:\web\web.exe", "C:/web.exe", r"\\server\share\web.exe"] {
            assert_eq!(registration(program).mistake(), None, "{program}");
        }
        for program in ["web", "bin/web", "", "C:web.exe", r"\web.exe"] {
            assert_eq!(registration(program).mistake(), Some(Mistake::RelativeProgram), "{program}");
        }
        let mut wrong = registration("/opt/web");
        wrong.arguments = vec!["a\0b".to_owned()];
        assert_eq!(wrong.mistake(), Some(Mistake::Nul { what: "an argument" }));
    }
}
