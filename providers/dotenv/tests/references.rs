//! A name that other lines are put together from: it is told of them, and never removed alone.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use secrets_api::{
    Change, Ctx, ErrorKind, Name, Op, Precondition, Provider, REFERS, SecretValue, Select, StoreUri,
};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

fn cx() -> Ctx {
    Ctx::within(Duration::from_secs(5))
}

/// A file of a dialect.
struct File(TestOpening, String);

impl File {
    fn new(dialect: &str, text: &str) -> Self {
        let opening = TestOpening::new();
        std::fs::write(opening.root.join(".env"), text).unwrap();
        Self(opening, format!("dotenv:.env?dialect={dialect}"))
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.0.root.join(".env")).unwrap()
    }

    fn store(&self) -> std::sync::Arc<dyn Provider> {
        let uri = StoreUri::parse(&self.1).unwrap();
        secrets_dotenv::open(&self.0.opening(&uri)).unwrap()
    }

    /// What a line is said to be put together from.
    fn refers(&self, name: &str) -> Vec<String> {
        let snapshot = block_on(self.store().read(&cx(), Select::All)).unwrap();
        let found = snapshot.items.into_iter().find(|(n, _)| n.as_str() == name);
        let meta = found.unwrap().1.unwrap().into_found().unwrap().meta;
        let tags = meta.tags.into_iter().filter(|(key, _)| key == REFERS);
        tags.map(|(_, name)| name).collect()
    }

    /// Removes these and sets those, in one batch.
    fn change(&self, removed: &[&str], set: &[(&str, &str)]) -> secrets_api::Result<()> {
        let names = removed.iter().chain(set.iter().map(|(name, _)| name));
        let names: Vec<Name> = names.map(|name| Name::new(name).unwrap()).collect();
        let values = set
            .iter()
            .map(|(_, text)| SecretValue::from_slice(text.as_bytes()));
        let values: Vec<SecretValue> = values.collect();
        let ops = removed.iter().map(|_| Op::Delete);
        let ops = ops.chain(values.iter().map(Op::Put));
        let changes: Vec<Change<'_>> = names
            .iter()
            .zip(ops)
            .map(|(name, op)| Change {
                name,
                op,
                when: Precondition::Unguarded,
            })
            .collect();
        block_on(self.store().write(&cx(), None, &changes)).map(|_| ())
    }

    fn refuses(&self, removed: &[&str]) -> secrets_api::Error {
        let before = self.text();
        let error = self.change(removed, &[]).unwrap_err();
        assert_eq!(self.text(), before);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        error
    }
}

#[test]
fn a_line_tells_what_it_is_put_together_from_in_every_form() {
    for (dialect, line, names) in [
        ("python-dotenv", "A=${B}", &["B"][..]),
        ("python-dotenv", "A=\"${B}/${C:-x}\"", &["B", "C"]),
        ("python-dotenv", "A='${B}'", &["B"]),
        ("python-dotenv", "A=$B", &[]),
        ("compose", "A=${B:-${C}}$D", &["B", "C", "D"]),
        ("compose", "A='${B}'", &[]),
        ("compose", "A=${B:+x}", &["B"]),
        ("shell", "A=\"$B-$C\"", &["B", "C"]),
        ("docker", "A=${B}", &[]),
    ] {
        let file = File::new(dialect, &format!("B=b\nC=c\nD=d\n{line}\n"));
        assert_eq!(file.refers("A"), names, "{dialect}: {line}");
        assert_eq!(file.refers("B"), [""; 0]);
    }
    let twice = File::new("python-dotenv", "A=${B}\nB=b\nA=plain\n");
    assert_eq!(twice.refers("A"), [""; 0]);
}

#[test]
fn a_name_that_another_line_is_put_together_from_is_not_removed_alone() {
    for line in ["A=${B}y", "A=${B:-x}", "A=${C:-${B}}"] {
        let file = File::new("compose", &format!("B=canary\nC=c\n{line}\n"));
        let error = file.refuses(&["B"]);
        assert_eq!(error.name().map(Name::as_str), Some("B"));
        let message = "A is put together from B, which cannot be removed alone";
        assert_eq!(error.message(), message);
        assert!(error.hint().unwrap().contains("secrets unset B A"));
        file.refuses(&["C", "B"]);
    }
    // The line is no name, and may be a part of a value.
    let file = File::new("python-dotenv", "B=b\na.b=${B}\n");
    let error = file.refuses(&["B"]);
    assert!(error.message().starts_with("line 2 is put"), "{error}");
}

#[test]
fn it_is_removed_with_the_lines_that_name_it_and_where_they_get_values_of_their_own() {
    let text = "# first\nB=b\nA=${B}y\nC=${A}\n";
    let file = File::new("python-dotenv", text);
    file.refuses(&["B", "C"]);
    file.change(&["B", "A", "C"], &[]).unwrap();
    assert_eq!(file.text(), "# first\n");
    for value in ["by", "other"] {
        let file = File::new("python-dotenv", "B=b\nA=${B}y\n");
        file.change(&["B"], &[("A", value)]).unwrap();
        assert_eq!(file.text(), format!("A={value}\n"));
    }
    // What stands for nothing would be written out too.
    let file = File::new("python-dotenv", "B=\nA=${B}y\n");
    file.change(&["B"], &[("A", "y")]).unwrap();
    assert_eq!(file.text(), "A=y\n");
}

#[test]
fn what_is_not_there_or_is_named_by_nothing_is_removed() {
    let file = File::new("python-dotenv", "A=${GONE}y\nB=b\n");
    file.change(&["GONE"], &[]).unwrap();
    file.change(&["B"], &[]).unwrap();
    assert_eq!(file.text(), "A=${GONE}y\n");
    let file = File::new("docker", "B=b\nA=${B}\n");
    file.change(&["B"], &[]).unwrap();
    assert_eq!(file.text(), "A=${B}\n");
}
