//! From a document to a typed value, with every mistake told at once.
//!
//! serde stops at the first mistake. So the mistake is noted, what it is about is taken out of the tree (or, where
//! a required key is missing, something is put in), and the tree is read again, until it can be read whole.

use super::document::{Document, NodeId, Place, join};
use super::help;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet};
use toml::de::{DeArray, DeTable, DeValue};

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub place: Place,
    pub message: String,
    pub remedy: String,
}

/// What could be read, and what was wrong.
pub struct Gathered<T> {
    /// `None` where the document cannot be read at all.
    pub value: Option<T>,
    pub faults: Vec<Fault>,
    /// Keys that `value` does not have from the file: their contents mean nothing.
    pub doubtful: HashSet<String>,
}

/// Reads `document` as a `T`, changing the document until that succeeds. `schema` is the JSON Schema of `T`.
pub fn gather<T: DeserializeOwned>(
    document: &mut Document<'_>,
    schema: &serde_json::Value,
) -> Gathered<T> {
    let mut repair = Repair::new(document, schema);
    for _ in 0..MOST_MISTAKES {
        match T::deserialize(repair.document.to_deserializer()) {
            Ok(value) => return repair.finish(Some(value)),
            Err(error) => {
                if !repair.mend(&error) {
                    break;
                }
            }
        }
    }
    repair.finish(None)
}

/// A file with more mistakes than this is not read to its end.
const MOST_MISTAKES: usize = 2_000;

struct Repair<'d, 't> {
    document: &'d mut Document<'t>,
    schema: &'d serde_json::Value,
    faults: Vec<Fault>,
    doubtful: HashSet<String>,
    /// What we put in for a missing key, and which of [`filler`] it is.
    fillers: HashMap<NodeId, usize>,
}

impl<'d, 't> Repair<'d, 't> {
    fn new(document: &'d mut Document<'t>, schema: &'d serde_json::Value) -> Self {
        Self {
            document,
            schema,
            faults: Vec::new(),
            doubtful: HashSet::new(),
            fillers: HashMap::new(),
        }
    }

    fn finish<T>(self, value: Option<T>) -> Gathered<T> {
        Gathered {
            value,
            faults: self.faults,
            doubtful: self.doubtful,
        }
    }

    /// Notes the mistake and makes it good enough to read on; false where that is not possible.
    fn mend(&mut self, error: &toml::de::Error) -> bool {
        let id = self.document.blamed(error);
        let place = self.document.place(id);
        if let Some(kind) = self.fillers.get(&id).copied() {
            return self.fill_otherwise(id, kind);
        }
        if let Some(name) = quoted_after(error.message(), "missing field ") {
            return self.supply(id, &place, &name);
        }
        let remedy = help::for_serde(error.message(), self.schema, &place.key);
        self.note(place.clone(), help::plain(error.message()), remedy);
        if place.key.is_empty() {
            return false;
        }
        self.doubtful.insert(place.key);
        self.document.remove(id);
        true
    }

    /// A required key is not there: says so, unless we took it out ourselves, and puts something in.
    fn supply(&mut self, table: NodeId, place: &Place, name: &str) -> bool {
        let key = join(&place.key, name);
        if self.doubtful.insert(key.clone()) {
            let remedy = help::describe(self.schema, &key).map_or_else(
                || format!("write {name} = …"),
                |text| format!("write {name} = …: {text}"),
            );
            let missing = Place {
                key,
                line: place.line,
            };
            self.note(missing, "is missing".to_owned(), remedy);
        }
        self.fill(table, name, 0)
    }

    /// What we put in does not fit: the next, or without its whole table.
    fn fill_otherwise(&mut self, id: NodeId, kind: usize) -> bool {
        let table = self.document.parent(id);
        let key = self.document.place(id).key;
        let name = key.rsplit('.').next().unwrap_or(&key).to_owned();
        self.document.remove(id);
        self.fill(table, &name, kind + 1)
    }

    fn fill(&mut self, table: NodeId, name: &str, kind: usize) -> bool {
        if let Some(value) = filler(kind) {
            let id = self.document.put(table, name, value);
            self.fillers.insert(id, kind);
            return true;
        }
        let place = self.document.place(table);
        let removable = !place.key.is_empty() && self.doubtful.insert(place.key);
        if removable {
            self.document.remove(table);
        }
        removable
    }

    fn note(&mut self, place: Place, message: String, remedy: String) {
        self.faults.push(Fault {
            place,
            message,
            remedy,
        });
    }
}

/// Values of every kind a missing key may want, tried in turn.
fn filler<'t>(kind: usize) -> Option<DeValue<'t>> {
    Some(match kind {
        0 => DeValue::String("missing".into()),
        1 => DeValue::Array(DeArray::new()),
        2 => DeValue::Boolean(false),
        3 => DeValue::Table(DeTable::new()),
        4 => DeValue::String("1s".into()),
        5 => DeValue::String("1B".into()),
        6 => DeValue::String("127.0.0.1:0".into()),
        7 => DeValue::String("127.0.0.1".into()),
        8 => DeValue::Integer(Default::default()),
        _ => return None,
    })
}

/// ``missing field `name` `` → `name`.
fn quoted_after(message: &str, start: &str) -> Option<String> {
    let rest = message.strip_prefix(start)?.strip_prefix('`')?;
    rest.split_once('`').map(|(name, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct World {
        name: String,
        port: u16,
        door: Vec<Door>,
    }

    impl Default for World {
        fn default() -> Self {
            Self {
                name: "w".into(),
                port: 1,
                door: Vec::new(),
            }
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Door {
        address: std::net::SocketAddr,
        tags: Vec<String>,
        role: Role,
        #[serde(default)]
        wide: bool,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Role {
        In,
        Out,
    }

    fn read(text: &str) -> (Gathered<World>, Vec<(String, usize, String)>) {
        let mut document = Document::parse(text).unwrap();
        let found = gather::<World>(&mut document, &serde_json::json!({}));
        let told = found
            .faults
            .iter()
            .map(|f| (f.place.key.clone(), f.place.line, f.message.clone()))
            .collect();
        (found, told)
    }

    #[test]
    fn every_mistake_is_told_in_one_reading() {
        let text = "\
nmae = \"x\"
port = 70000
[[door]]
address = \"127.0.0.1:1\"
tags = []
role = \"int\"
[[door]]
wide = 3
tags = [1, \"a\"]
";
        let (found, mut told) = read(text);
        assert!(found.value.is_some());
        told.sort();
        let places: Vec<(&str, usize)> = told.iter().map(|(k, l, _)| (k.as_str(), *l)).collect();
        assert_eq!(
            places,
            [
                ("door[0].role", 6),
                ("door[1].address", 7),
                ("door[1].role", 7),
                ("door[1].tags[0]", 9),
                ("door[1].wide", 8),
                ("nmae", 1),
                ("port", 2),
            ]
        );
    }

    #[test]
    fn a_key_with_a_mistake_is_not_called_missing_as_well() {
        let (_, told) = read("[[door]]\naddress = 5\ntags = []\nrole = \"in\"\n");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].0.as_str(), told[0].1), ("door[0].address", 2));
    }

    #[test]
    fn positions_stay_those_of_the_file_when_an_element_goes() {
        let text = "door = [5, { address = \"127.0.0.1:1\", tags = [], role = \"in\" }]\n";
        let mut document = Document::parse(text).unwrap();
        let found = gather::<World>(&mut document, &serde_json::json!({}));
        assert_eq!(found.faults[0].place.key, "door[0]");
        assert_eq!(document.find("door[0].role").key, "door[1].role");
        assert_eq!(document.find("door[0].colour.x").key, "door[1].colour.x");
    }

    #[test]
    fn a_file_that_is_no_table_of_ours_ends_the_reading() {
        let (found, told) = read("door = \"x\"\nport = \"y\"\n");
        assert!(found.value.is_some());
        assert_eq!(told.len(), 2);
    }
}
