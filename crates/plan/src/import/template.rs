//! Text of a definition: literals whose dollar signs mean themselves, and placeholders.

use crate::placeholder::is_name;

/// A value as it is written in a definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Template(String);

impl Template {
    /// Text that means itself.
    pub(crate) fn literal(text: &str) -> Self {
        let mut template = Self::default();
        template.push_literal(text);
        template
    }

    /// Text that is written as it stands in a definition already.
    pub(crate) fn written(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn push_literal(&mut self, text: &str) {
        self.0.push_str(&text.replace('$', "$$"));
    }

    /// A placeholder that must be set. A name no placeholder can have is written as it would be asked for.
    pub(crate) fn push_required(&mut self, name: &str) {
        if is_name(name) {
            self.0.push_str(&format!("${{{name}}}"));
        } else {
            self.push_literal(&format!("${{{name}}}"));
        }
    }

    /// A placeholder with a default. Where the default has a brace in it, which none can, or no placeholder can have that
    /// name, the default itself.
    pub(crate) fn push_placeholder(&mut self, name: &str, default: &str) {
        if !is_name(name) || default.contains('}') {
            return self.push_literal(default);
        }
        // A default that begins with a dash would lose it: `:-` is one sign.
        let separator = if default.starts_with('-') { ":-" } else { ":" };
        self.0.push_str(&format!("${{{name}{separator}{}}}", default.replace('$', "$$")));
    }

    pub(crate) fn push(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    pub(crate) fn has_placeholder(&self) -> bool {
        self.0.replace("$$", "").contains("${")
    }

    /// As it is written.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::placeholder::{expand, parse};

    fn expanded(template: Template) -> String {
        expand(&parse(&template.into_text()).unwrap(), &mut |_| None, &mut |_| ()).unwrap()
    }

    proptest! {
        #[test]
        fn a_literal_means_itself(text in "[${}:a-]{0,20}|\\PC*") {
            prop_assert_eq!(expanded(Template::literal(&text)), text);
        }

        #[test]
        fn a_default_means_itself(before in "[$a]{0,3}", default in "[${}:a-]{0,20}|\\PC*") {
            let mut template = Template::literal(&before);
            template.push_placeholder("NAME", &default);
            prop_assert_eq!(expanded(template), format!("{before}{default}"));
        }
    }
}
