//! What must not be shown.

/// What stands in the place of a secret.
pub const MASK: &str = "******";

/// A secret shorter than this is not searched for in other texts: it would mask half of them.
const SEARCHED_LENGTH_MIN: usize = 4;

const WORDS: [&str; 12] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "CREDENTIAL",
    "AUTHORIZATION",
    "COOKIE",
];

/// Whether a key (`DB_PASSWORD`, `api-key`, `Authorization`) looks like that of a secret. A key that says where the secret
/// is (`..._FILE`, `..._PATH`) does not.
#[must_use]
pub fn looks_secret(key: &str) -> bool {
    let key = key.to_ascii_uppercase().replace('-', "_");
    let names_a_place = ["_FILE", "_PATH", "_DIR", "_URL", "_NAME"].iter().any(|end| key.ends_with(end));
    !names_a_place
        && (WORDS.iter().any(|word| key.contains(word))
            || key == "PASS"
            || key.ends_with("_PASS")
            || key.ends_with("_PWD"))
}

/// One secret, which nothing shows by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Every secret of one service, to take them out of whatever is shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Keeps a secret in mind.
    pub fn add(&mut self, secret: &str) {
        if secret.len() >= SEARCHED_LENGTH_MIN && !self.0.iter().any(|known| known == secret) {
            self.0.push(secret.to_owned());
            // A secret that contains another must go first, or its rest would be left standing.
            self.0.sort_by_key(|known| std::cmp::Reverse(known.len()));
        }
    }

    /// The text with every secret in it masked.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), MASK) } else { text }
        })
    }

    /// Whether the text has a secret in it.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.0.iter().any(|secret| text.contains(secret.as_str()))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_secrets_are_known_by_their_words() {
        for key in ["DB_PASSWORD", "api-key", "GITHUB_TOKEN", "Authorization", "PASS", "SMTP_PASS", "client_secret"] {
            assert!(looks_secret(key), "{key}");
        }
        for key in ["PATH", "PASSENGER_MODE", "DB_PASSWORD_FILE", "KEY", "TOKEN_URL", "COMPASS"] {
            assert!(!looks_secret(key), "{key}");
        }
    }

    #[test]
    fn a_secret_is_masked_wherever_it_stands() {
        let mut secrets = Secrets::default();
        secrets.add("hunter");
        secrets.add("hunter2");
        secrets.add("a");
        assert_eq!(secrets.mask("--pw=hunter2 --a hunter"), "--pw=****** --a ******");
        assert!(!format!("{secrets:?}").contains("hunter"));
    }
}
