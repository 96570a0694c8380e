//! Where the definition of a guard is, noted for whoever finds what it left when it was killed.

use std::fs;
use std::path::{Path, PathBuf};

use menshen_os::file::{Durability, replace};
use menshen_os::paths::Paths;
use serde::{Deserialize, Serialize};

use crate::definition::DefinitionSource;

/// Among what is remembered.
const FILE: &str = "definition.json";

#[derive(Serialize, Deserialize)]
struct Origin {
    /// The file, or the folder of its files; absolute.
    path: PathBuf,
}

/// Notes where it is. A definition in no file, as that of `menshen run`, leaves none. What cannot be noted is not known later,
/// and nothing depends on it.
pub(super) fn note(memory: &Path, source: &DefinitionSource) {
    let file = memory.join(FILE);
    let path = std::path::absolute(&source.path).ok().filter(|_| source.text.is_none());
    if read(&file) == path {
        return;
    }
    let noted = path.and_then(|path| serde_json::to_vec(&Origin { path }).ok());
    if noted.is_none_or(|noted| replace(&file, &noted, Durability::Guard).is_err()) {
        // That of an earlier guard would be taken for this one's.
        let _ = fs::remove_file(file);
    }
}

/// The definition of the last guard of this name: a file, or a folder of files. It may be gone by now. `None` where it was in no
/// file, and where what was noted may not be read.
#[must_use]
pub fn definition_of(paths: &Paths, instance: &str) -> Option<PathBuf> {
    read(&paths.memory(instance).join(FILE))
}

fn read(file: &Path) -> Option<PathBuf> {
    Some(serde_json::from_slice::<Origin>(&fs::read(file).ok()?).ok()?.path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_last_guard_of_a_name_is_the_one_whose_definition_is_known() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::below(home.path());
        let memory = paths.memory("shop");
        fs::create_dir_all(&memory).unwrap();
        let source = |path: &str, text: Option<&str>| DefinitionSource {
            path: path.into(),
            text: text.map(str::to_owned),
            profile: None,
            settings: Vec::new(),
            environment: BTreeMap::new(),
            only: Vec::new(),
        };
        assert_eq!(definition_of(&paths, "shop"), None);
        let absolute = |path: &str| Some(std::path::absolute(path).unwrap());
        for path in ["a/menshen.toml", "b", "a"] {
            note(&memory, &source(path, None));
            assert_eq!(definition_of(&paths, "shop"), absolute(path));
        }
        note(&memory, &source("a", Some("[service.web]")));
        assert_eq!(definition_of(&paths, "shop"), None);
        fs::write(memory.join(FILE), "{\"path\": 1}").unwrap();
        assert_eq!(definition_of(&paths, "shop"), None);
    }
}
