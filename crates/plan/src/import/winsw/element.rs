//! The elements of a service, until they are taken.

use roxmltree::Node;

use super::super::Place;
use super::super::settings::Setting;

/// An element: its text as a setting, its attributes and what is in it.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub setting: Setting,
    attributes: Vec<(String, String)>,
    pub inner: Elements,
}

impl Element {
    /// The value of an attribute, or of an element in it of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let attribute = self.attributes.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let inner = || self.inner.0.iter().find(|element| element.setting.key.eq_ignore_ascii_case(name));
        attribute.map(|(_, value)| value.as_str()).or_else(|| inner().map(|element| element.setting.value.as_str()))
    }
}

/// Elements in the order written.
#[derive(Debug, Clone, Default)]
pub(super) struct Elements(Vec<Element>);

/// How deep elements are looked into; those of WinSW go two deep.
const DEPTH_MAX: usize = 3;

impl Elements {
    /// What is in a node.
    pub(super) fn of(node: Node<'_, '_>, source: &str) -> Self {
        collect(node, &Place::whole(source), "", 0)
    }

    /// Takes all elements of a name out; the last one counts.
    pub(super) fn take(&mut self, name: &str) -> Option<Element> {
        self.take_all(name).pop()
    }

    /// Takes all elements of a name out.
    pub(super) fn take_all(&mut self, name: &str) -> Vec<Element> {
        self.0.extract_if(.., |element| element.setting.key == name).collect()
    }

    /// What nobody took.
    pub(super) fn rest(self) -> Vec<Element> {
        self.0
    }
}

fn collect(node: Node<'_, '_>, place: &Place, above: &str, depth: usize) -> Elements {
    if depth == DEPTH_MAX {
        return Elements::default();
    }
    let elements = node.children().filter(Node::is_element).map(|child| {
        let name = child.tag_name().name();
        let line = usize::try_from(child.document().text_pos_at(child.range().start).row).unwrap_or(0);
        let value: String = child.children().filter(Node::is_text).filter_map(|text| text.text()).collect();
        let shown = format!("{above}<{name}>");
        let setting = Setting {
            key: name.to_ascii_lowercase(),
            shown: shown.clone(),
            value: value.trim().to_owned(),
            place: place.line(line),
        };
        let attributes = child.attributes().map(|one| (one.name().to_owned(), one.value().to_owned())).collect();
        Element { setting, attributes, inner: collect(child, place, &shown, depth + 1) }
    });
    Elements(elements.collect())
}
