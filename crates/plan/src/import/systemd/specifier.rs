//! `%n`, `%i`, `%h` and their like (systemd.unit(5), "Specifiers").

use super::super::template::Template;
use super::unit::Unit;

/// What specifiers of one unit stand for.
#[derive(Debug, Clone)]
pub(crate) struct Specifiers {
    /// The unit's whole name, with the instance.
    name: String,
    prefix: String,
    pub instance: String,
    /// Whether it is a unit of a user's own manager.
    scope: Scope,
    path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    System,
    User,
}

/// What a specifier is worth.
enum Worth {
    /// A text.
    Text(String),
    /// What the guard's environment has under a name, or else a text.
    Variable(&'static str, &'static str),
    /// Only the machine knows: a placeholder for it, and what it is.
    Machine(&'static str, &'static str),
    /// There is no such specifier.
    Unknown,
}

/// A text with its specifiers resolved.
pub(crate) struct Resolved {
    pub template: Template,
    /// Placeholders that have to be set for the text to be the same: the name, and what it stands for.
    pub machine: Vec<(&'static str, &'static str)>,
    /// The text as it is where nothing is set.
    pub plain: String,
}

impl Specifiers {
    pub(crate) fn of(unit: &mut Unit) -> Self {
        let stem = unit.name.strip_suffix(".service").unwrap_or(&unit.name).to_owned();
        let (prefix, instance) = stem.split_once('@').unwrap_or((&stem, ""));
        let given = unit.take("Install", "DefaultInstance").map(|setting| setting.value);
        let instance = if instance.is_empty() { given.unwrap_or_default() } else { instance.to_owned() };
        let name = if stem.contains('@') { format!("{prefix}@{instance}.service") } else { unit.name.clone() };
        let in_user_folder = ["/systemd/user/", "/.config/systemd/"].iter().any(|folder| unit.path.contains(folder));
        let scope = if in_user_folder { Scope::User } else { Scope::System };
        Self { name, prefix: prefix.to_owned(), instance, scope, path: unit.path.clone() }
    }

    /// Puts texts and placeholders in the place of specifiers.
    pub(crate) fn resolve(&self, text: &str) -> Resolved {
        let mut resolved = Resolved { template: Template::default(), machine: Vec::new(), plain: String::new() };
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                resolved.push(character.encode_utf8(&mut [0; 4]));
                continue;
            }
            match characters.next() {
                None => resolved.push("%"),
                Some('%') => resolved.push("%"),
                Some(letter) => self.push(letter, &mut resolved),
            }
        }
        resolved
    }

    fn push(&self, letter: char, resolved: &mut Resolved) {
        match self.worth(letter) {
            Worth::Text(text) => resolved.push(&text),
            Worth::Variable(name, default) => {
                resolved.template.push_placeholder(name, default);
                resolved.plain.push_str(default);
            }
            Worth::Machine(name, what) => {
                resolved.template.push_placeholder(name, "unknown");
                resolved.plain.push_str("unknown");
                resolved.machine.push((name, what));
            }
            Worth::Unknown => {
                resolved.push("%");
                resolved.push(letter.encode_utf8(&mut [0; 4]));
            }
        }
    }

    fn worth(&self, letter: char) -> Worth {
        self.worth_of_name(letter).or_else(|| self.worth_of_folder(letter)).unwrap_or(match letter {
            'H' => Worth::Machine("HOSTNAME", "the machine's name"),
            'l' => Worth::Machine("HOSTNAME_SHORT", "the machine's name up to the first dot"),
            'q' => Worth::Machine("HOSTNAME_PRETTY", "the machine's pretty name"),
            'm' => Worth::Machine("MACHINE_ID", "the content of /etc/machine-id"),
            'b' => Worth::Machine("BOOT_ID", "the id of this boot"),
            'v' => Worth::Machine("KERNEL_RELEASE", "what `uname -r` says"),
            'a' => Worth::Machine("ARCHITECTURE", "the machine's architecture"),
            'o' => Worth::Machine("OS_ID", "ID of /etc/os-release"),
            'w' => Worth::Machine("OS_VERSION_ID", "VERSION_ID of /etc/os-release"),
            'W' => Worth::Machine("OS_VARIANT_ID", "VARIANT_ID of /etc/os-release"),
            'A' => Worth::Machine("OS_IMAGE_VERSION", "IMAGE_VERSION of /etc/os-release"),
            'B' => Worth::Machine("OS_BUILD_ID", "BUILD_ID of /etc/os-release"),
            'M' => Worth::Machine("OS_IMAGE_ID", "IMAGE_ID of /etc/os-release"),
            _ => Worth::Unknown,
        })
    }

    fn worth_of_name(&self, letter: char) -> Option<Worth> {
        let last = |text: &str| text.rsplit('-').next().unwrap_or_default().to_owned();
        let text = match letter {
            'n' => self.name.clone(),
            'N' => self.name.trim_end_matches(".service").to_owned(),
            'p' => self.prefix.clone(),
            'P' => unescape(&self.prefix),
            'i' => self.instance.clone(),
            'I' => unescape(&self.instance),
            'j' => last(&self.prefix),
            'J' => unescape(&last(&self.prefix)),
            'f' => format!("/{}", unescape(if self.instance.is_empty() { &self.prefix } else { &self.instance })),
            'y' => self.path.clone(),
            'Y' => self.path.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned(),
            _ => return None,
        };
        Some(Worth::Text(text))
    }

    fn worth_of_folder(&self, letter: char) -> Option<Worth> {
        let text = |text: &str| Worth::Text(text.to_owned());
        Some(match (letter, self.scope) {
            ('t', Scope::System) => text("/run"),
            ('S', Scope::System) => text("/var/lib"),
            ('C', Scope::System) => text("/var/cache"),
            ('L', Scope::System) => text("/var/log"),
            ('E', Scope::System) => text("/etc"),
            ('D', Scope::System) => text("/usr/share"),
            ('h', Scope::System) => text("/root"),
            ('u' | 'g', Scope::System) => text("root"),
            ('U' | 'G', Scope::System) => text("0"),
            ('s', Scope::System) => text("/bin/sh"),
            ('d', Scope::System) => Worth::Text(format!("/run/credentials/{}", self.name)),
            ('T', _) => text("/tmp"),
            ('V', _) => text("/var/tmp"),
            ('t', Scope::User) => Worth::Variable("XDG_RUNTIME_DIR", "/tmp"),
            ('h', Scope::User) => Worth::Variable("HOME", "/"),
            ('u', Scope::User) => Worth::Variable("USER", "nobody"),
            ('s', Scope::User) => Worth::Variable("SHELL", "/bin/sh"),
            ('S', Scope::User) => Worth::Variable("XDG_STATE_HOME", ".local/state"),
            ('C', Scope::User) => Worth::Variable("XDG_CACHE_HOME", ".cache"),
            ('L', Scope::User) => Worth::Variable("XDG_LOG_HOME", ".local/state/log"),
            ('E', Scope::User) => Worth::Variable("XDG_CONFIG_HOME", ".config"),
            ('D', Scope::User) => Worth::Variable("XDG_DATA_HOME", ".local/share"),
            ('g', Scope::User) => Worth::Machine("GROUP", "the user's group"),
            ('U', Scope::User) => Worth::Machine("UID", "the user's number"),
            ('G', Scope::User) => Worth::Machine("GID", "the group's number"),
            _ => return None,
        })
    }

    /// Whether it is a template nobody said the instance of, though it is spoken of.
    pub(crate) fn lacks_instance(&self) -> bool {
        self.name.contains('@') && self.instance.is_empty()
    }

    pub(crate) const fn is_user(&self) -> bool {
        matches!(self.scope, Scope::User)
    }
}

impl Resolved {
    fn push(&mut self, text: &str) {
        self.template.push_literal(text);
        self.plain.push_str(text);
    }
}

/// `a-b\x2dc` is `a/b-c`.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let code = rest.strip_prefix("\\x").and_then(|after| after.get(..2));
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            bytes.push(byte);
            rest = &rest[4..];
            continue;
        }
        let first = if first == '-' { '/' } else { first };
        bytes.extend(first.encode_utf8(&mut [0; 4]).bytes());
        rest = &rest[first.len_utf8()..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unescaped_as_systemd_escapes_paths() {
        assert_eq!(unescape(r"dev-disk\x2dby"), "dev/disk-by");
        assert_eq!(unescape(r"a\x"), r"a\x");
        assert_eq!(unescape(r"\xc3\xa4"), "ä");
    }
}
