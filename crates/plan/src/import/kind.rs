//! Whose file it is.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

/// What can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A systemd unit, `web.service`.
    Systemd,
    /// A `supervisord.conf`.
    Supervisord,
    /// The XML beside a WinSW.
    Winsw,
    /// A service of nssm: what `reg export` or `nssm dump` wrote.
    Nssm,
    /// A pm2 ecosystem file.
    Pm2,
    /// A Procfile.
    Procfile,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Systemd, Self::Supervisord, Self::Winsw, Self::Nssm, Self::Pm2, Self::Procfile];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Supervisord => "supervisord",
            Self::Winsw => "winsw",
            Self::Nssm => "nssm",
            Self::Pm2 => "pm2",
            Self::Procfile => "procfile",
        }
    }

    /// What people call such a file.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Systemd => "a systemd unit",
            Self::Supervisord => "a supervisord.conf",
            Self::Winsw => "a WinSW XML",
            Self::Nssm => "a service of nssm",
            Self::Pm2 => "a pm2 ecosystem file",
            Self::Procfile => "a Procfile",
        }
    }

    /// Whether files of this kind have such names.
    fn has_name(self, name: &str) -> bool {
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
        let ends_with = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        match self {
            Self::Systemd => ends_with(&[".service"]),
            Self::Supervisord => name.starts_with("supervisor") && ends_with(&[".conf", ".ini"]),
            Self::Winsw => ends_with(&[".xml"]),
            Self::Nssm => ends_with(&[".reg"]),
            Self::Pm2 => {
                let stem = ["ecosystem", "pm2", "process"].iter().any(|start| name.starts_with(start));
                (stem && ends_with(&[".json", ".json5", ".js", ".cjs", ".mjs"]))
                    || ends_with(&[".config.js", ".config.cjs"])
            }
            Self::Procfile => name.starts_with("procfile"),
        }
    }

    /// Whether the text shows marks of this kind.
    fn has_marks(self, text: &str) -> bool {
        let first = text.trim_start();
        let lines = || text.lines().map(str::trim);
        match self {
            Self::Systemd => lines().any(|line| matches!(line, "[Service]" | "[Unit]" | "[Install]")),
            Self::Supervisord => lines().any(|line| {
                ["[program:", "[supervisord]", "[group:", "[eventlistener:", "[fcgi-program:"]
                    .iter()
                    .any(|section| line.starts_with(section))
            }),
            Self::Winsw => first.starts_with('<') && text.to_ascii_lowercase().contains("<service"),
            Self::Nssm => {
                first.starts_with("Windows Registry Editor")
                    || first.starts_with("REGEDIT4")
                    || lines().any(super::nssm::is_dump_line)
            }
            Self::Pm2 => {
                let begins = first.trim_start_matches(['[', ' ', '\t', '\r', '\n']).starts_with('{');
                begins || text.contains("module.exports") || text.contains("export default")
            }
            Self::Procfile => {
                let mut lines = lines().filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
                lines.peek().is_some() && lines.all(super::procfile::is_entry)
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnclearKind;

    fn from_str(text: &str) -> Result<Self, UnclearKind> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text.trim()));
        kind.ok_or_else(|| UnclearKind { name: text.to_owned(), candidates: Vec::new() })
    }
}

/// A source whose kind its name and its text do not tell.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", told(name, candidates))]
pub struct UnclearKind {
    /// The source's name.
    pub name: String,
    /// The kinds it might be; none where it looks like nothing that is known.
    pub candidates: Vec<Kind>,
}

fn told(name: &str, candidates: &[Kind]) -> String {
    let nouns: Vec<&str> = candidates.iter().map(|kind| kind.noun()).collect();
    match nouns.as_slice() {
        [] => format!("nothing in {name} tells what it is"),
        several => format!("{name} might be {}", several.join(" or ")),
    }
}

/// Whose file it is, by what is in it, and by its name where that leaves a choice.
///
/// # Errors
/// When several kinds are as likely, or none is.
pub fn guess(name: &str, text: &str) -> Result<Kind, UnclearKind> {
    let pick = |kinds: &[Kind]| match kinds {
        [one] => Some(*one),
        _ => None,
    };
    let marked: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.has_marks(text)).collect();
    let named: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.has_name(name)).collect();
    let both: Vec<Kind> = marked.iter().copied().filter(|kind| named.contains(kind)).collect();
    let chosen = pick(&both).or_else(|| pick(&marked)).or_else(|| marked.is_empty().then(|| pick(&named)).flatten());
    chosen.ok_or_else(|| UnclearKind { name: name.to_owned(), candidates: marked })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_and_name_tell_what_it_is() {
        for (name, text, kind) in [
            ("/etc/systemd/system/web.service", "[Service]\nExecStart=/bin/web\n", Kind::Systemd),
            ("unit.txt", "# mine\n[Unit]\nDescription=x\n", Kind::Systemd),
            ("app.conf", "[program:web]\ncommand=web\n", Kind::Supervisord),
            ("web.xml", "<?xml version=\"1.0\"?>\n<service><id>web</id></service>", Kind::Winsw),
            ("web.reg", "Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE]\n", Kind::Nssm),
            ("-", "nssm.exe install web C:\\web.exe\n", Kind::Nssm),
            ("ecosystem.config.js", "module.exports = { apps: [] }", Kind::Pm2),
            ("apps.json", "{ \"apps\": [] }", Kind::Pm2),
            ("Procfile", "web: bundle exec rails server -p $PORT\n", Kind::Procfile),
            ("Procfile.dev", "", Kind::Procfile),
        ] {
            assert_eq!(guess(name, text), Ok(kind), "{name}");
        }
    }

    #[test]
    fn what_might_be_two_things_is_not_guessed() {
        let both = guess("x", "[Unit]\n[program:web]\n").unwrap_err();
        assert_eq!(both.candidates, [Kind::Systemd, Kind::Supervisord]);
        assert_eq!(both.to_string(), "x might be a systemd unit or a supervisord.conf");
        assert_eq!(guess("x.txt", "hello world").unwrap_err().to_string(), "nothing in x.txt tells what it is");
    }

    #[test]
    fn every_kind_reads_its_own_name_back() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().to_uppercase().parse(), Ok(kind));
        }
        assert!("upstart".parse::<Kind>().is_err());
    }
}
