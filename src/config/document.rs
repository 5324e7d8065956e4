//! A configuration file as a tree whose every value has a number: what serde complains about, what `validate` names and
//! what the file says are then the same thing.
//!
//! The TOML parser keeps byte spans, but several values share one (an implicit table has its header's, a list of
//! tables has its first element's), and a value put in by us has none. So each value is given a number, and its
//! span is replaced by one made of that number: an error's span leads back to exactly one value.

use std::borrow::Cow;
use std::fmt::Write as _;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Names one value of a [`Document`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(usize);

/// Where a value stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Dotted path with positions in lists, as the file has them: `listener[0].tls`. Empty for the whole file.
    pub key: String,
    /// Counted from 1.
    pub line: usize,
}

/// What the parser itself says of a file.
#[derive(Debug)]
pub struct SyntaxError {
    pub line: usize,
    pub message: String,
}

/// One parsed file. Values can be removed and put in; places stay those of the file.
pub struct Document<'t> {
    root: Spanned<DeTable<'t>>,
    places: Vec<Place>,
}

/// The whole file.
const ROOT: NodeId = NodeId(0);

impl<'t> Document<'t> {
    /// Parses `text`; syntax errors are all that the parser can tell apart.
    pub fn parse(text: &'t str) -> Result<Self, Vec<SyntaxError>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(errors.iter().map(|e| syntax_error(text, e)).collect());
        }
        let mut numbering = Numbering::new(text);
        let root = numbering.table(table.into_inner(), "");
        Ok(Self {
            root: Spanned::new(span_of(ROOT, Part::Value), root),
            places: numbering.places,
        })
    }

    /// The tree as serde takes it.
    pub fn to_deserializer(&self) -> toml::Deserializer<'t> {
        toml::Deserializer::from(self.root.clone())
    }

    /// The value an error of [`Document::to_deserializer`] is about. No span is the whole file.
    pub fn blamed(&self, error: &toml::de::Error) -> NodeId {
        let id = error.span().map_or(ROOT, |span| NodeId(span.start / 2));
        if id.0 < self.places.len() { id } else { ROOT }
    }

    pub fn place(&self, id: NodeId) -> Place {
        self.places.get(id.0).cloned().unwrap_or(Place {
            key: String::new(),
            line: 1,
        })
    }

    /// Where `key` is, or what encloses it most closely where the file leaves it to the default.
    ///
    /// `key` counts list positions as the tree has them now; the place counts them as the file does.
    pub fn find(&self, key: &str) -> Place {
        let mut found = ROOT;
        let mut rest = key;
        let mut table = Some(self.root.get_ref());
        let mut list: Option<&DeArray<'t>> = None;
        while let Some((step, behind)) = next_step(rest) {
            let next = match step {
                Step::Name(name) => table.and_then(|t| t.get(name)),
                Step::Position(i) => list.and_then(|l| l.get(i)),
            };
            let Some(value) = next else { break };
            found = NodeId(value.span().start / 2);
            table = value.get_ref().as_table();
            list = value.get_ref().as_array();
            rest = behind;
        }
        let mut place = self.place(found);
        if !rest.is_empty() {
            let joint = if place.key.is_empty() || rest.starts_with('[') {
                ""
            } else {
                "."
            };
            let _infallible = write!(place.key, "{joint}{rest}");
        }
        place
    }

    /// Takes a value out. The root cannot be taken out.
    pub fn remove(&mut self, id: NodeId) {
        remove_from_table(self.root.get_mut(), id);
    }

    /// The value that holds `id`; the root holds itself.
    pub fn parent(&self, id: NodeId) -> NodeId {
        parent_in_table(self.root.get_ref(), ROOT, id).unwrap_or(ROOT)
    }

    /// Puts `value` under `name` into the table `parent`, and names it.
    pub fn put(&mut self, parent: NodeId, name: &str, value: DeValue<'t>) -> NodeId {
        let within = self.place(parent);
        let key = join(&within.key, name);
        let id = NodeId(self.places.len());
        self.places.push(Place {
            key,
            line: within.line,
        });
        if let Some(table) = find_table(self.root.get_mut(), ROOT, parent) {
            let key = Cow::Owned(name.to_owned());
            table.insert(
                Spanned::new(span_of(id, Part::Key), key),
                Spanned::new(span_of(id, Part::Value), value),
            );
        }
        id
    }

    /// Rewrites the text at every place that `pattern` names; `[]` in it stands for every position of a list.
    pub fn rewrite(&mut self, pattern: &str, with: &dyn Fn(&str) -> Option<String>) {
        rewrite_table(self.root.get_mut(), pattern, with);
    }
}

/// `a.b`, or `b` where `a` is the whole file.
pub fn join(within: &str, name: &str) -> String {
    if within.is_empty() {
        name.to_owned()
    } else {
        format!("{within}.{name}")
    }
}

enum Part {
    Value,
    Key,
}

fn span_of(id: NodeId, part: Part) -> std::ops::Range<usize> {
    let start = id.0 * 2 + matches!(part, Part::Key) as usize;
    start..start + 1
}

enum Step<'k> {
    Name(&'k str),
    Position(usize),
}

/// The first step of a dotted key, and what is behind it.
fn next_step(key: &str) -> Option<(Step<'_>, &str)> {
    if let Some(rest) = key.strip_prefix('[') {
        let (position, behind) = rest.split_once(']')?;
        let behind = behind.strip_prefix('.').unwrap_or(behind);
        return Some((Step::Position(position.parse().ok()?), behind));
    }
    let end = key.find(['.', '[']).unwrap_or(key.len());
    let (name, behind) = key.split_at(end);
    let behind = behind.strip_prefix('.').unwrap_or(behind);
    (!name.is_empty()).then_some((Step::Name(name), behind))
}

fn syntax_error(text: &str, error: &toml::de::Error) -> SyntaxError {
    let at = error.span().map_or(text.len(), |span| span.start);
    SyntaxError {
        line: Lines::new(text).of(at),
        message: error.message().to_owned(),
    }
}

/// Byte offsets of line ends.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    fn of(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset) + 1
    }
}

/// Gives every value its number while it walks.
struct Numbering {
    lines: Lines,
    places: Vec<Place>,
}

impl Numbering {
    fn new(text: &str) -> Self {
        Self {
            lines: Lines::new(text),
            places: vec![Place {
                key: String::new(),
                line: 1,
            }],
        }
    }

    fn number(&mut self, key: String, offset: usize) -> NodeId {
        self.places.push(Place {
            key,
            line: self.lines.of(offset),
        });
        NodeId(self.places.len() - 1)
    }

    fn table<'t>(&mut self, table: DeTable<'t>, at: &str) -> DeTable<'t> {
        table
            .into_iter()
            .map(|(name, value)| {
                let key = join(at, name.get_ref());
                let id = self.number(key.clone(), name.span().start);
                let name = Spanned::new(span_of(id, Part::Key), name.into_inner());
                (name, self.value(value.into_inner(), id, &key))
            })
            .collect()
    }

    fn list<'t>(&mut self, list: DeArray<'t>, at: &str) -> DeArray<'t> {
        let mut numbered = DeArray::new();
        for (position, element) in list.into_iter().enumerate() {
            let key = format!("{at}[{position}]");
            let id = self.number(key.clone(), element.span().start);
            numbered.push(self.value(element.into_inner(), id, &key));
        }
        numbered
    }

    fn value<'t>(&mut self, value: DeValue<'t>, id: NodeId, at: &str) -> Spanned<DeValue<'t>> {
        let value = match value {
            DeValue::Table(table) => DeValue::Table(self.table(table, at)),
            DeValue::Array(list) => DeValue::Array(self.list(list, at)),
            plain => plain,
        };
        Spanned::new(span_of(id, Part::Value), value)
    }
}

fn holds(value: &Spanned<DeValue<'_>>, id: NodeId) -> bool {
    value.span().start / 2 == id.0
}

fn remove_from_table(table: &mut DeTable<'_>, id: NodeId) {
    let whole = std::mem::replace(table, DeTable::new());
    for (name, mut value) in whole {
        if !holds(&value, id) {
            remove_from_value(value.get_mut(), id);
            table.insert(name, value);
        }
    }
}

fn remove_from_value(value: &mut DeValue<'_>, id: NodeId) {
    match value {
        DeValue::Table(table) => remove_from_table(table, id),
        DeValue::Array(list) => {
            let mut kept = DeArray::new();
            for mut element in std::mem::replace(list, DeArray::new()) {
                if !holds(&element, id) {
                    remove_from_value(element.get_mut(), id);
                    kept.push(element);
                }
            }
            *list = kept;
        }
        _ => {}
    }
}

fn parent_in_table(table: &DeTable<'_>, this: NodeId, id: NodeId) -> Option<NodeId> {
    table
        .iter()
        .find_map(|(_, value)| parent_in_value(value, this, id))
}

fn parent_in_value(value: &Spanned<DeValue<'_>>, holder: NodeId, id: NodeId) -> Option<NodeId> {
    if holds(value, id) {
        return Some(holder);
    }
    let this = NodeId(value.span().start / 2);
    match value.get_ref() {
        DeValue::Table(table) => parent_in_table(table, this, id),
        DeValue::Array(list) => list.iter().find_map(|e| parent_in_value(e, this, id)),
        _ => None,
    }
}

fn find_table<'a, 't>(
    table: &'a mut DeTable<'t>,
    this: NodeId,
    id: NodeId,
) -> Option<&'a mut DeTable<'t>> {
    if this == id {
        return Some(table);
    }
    table
        .iter_mut()
        .find_map(|(_, value)| find_table_in_value(value, id))
}

fn find_table_in_value<'a, 't>(
    value: &'a mut Spanned<DeValue<'t>>,
    id: NodeId,
) -> Option<&'a mut DeTable<'t>> {
    let this = NodeId(value.span().start / 2);
    match value.get_mut() {
        DeValue::Table(table) => find_table(table, this, id),
        DeValue::Array(list) => list.iter_mut().find_map(|e| find_table_in_value(e, id)),
        _ => None,
    }
}

fn rewrite_table(table: &mut DeTable<'_>, pattern: &str, with: &dyn Fn(&str) -> Option<String>) {
    let (name, behind) = pattern.split_once('.').unwrap_or((pattern, ""));
    let (name, every) = match name.strip_suffix("[]") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let Some(value) = table.get_mut(name) else {
        return;
    };
    match value.get_mut() {
        DeValue::Array(list) if every => {
            for element in list.iter_mut() {
                rewrite_value(element.get_mut(), behind, with);
            }
        }
        value => rewrite_value(value, behind, with),
    }
}

fn rewrite_value(value: &mut DeValue<'_>, pattern: &str, with: &dyn Fn(&str) -> Option<String>) {
    match value {
        DeValue::Table(table) if !pattern.is_empty() => rewrite_table(table, pattern, with),
        DeValue::String(text) if pattern.is_empty() => {
            if let Some(new) = with(text) {
                *text = Cow::Owned(new);
            }
        }
        _ => {}
    }
}
