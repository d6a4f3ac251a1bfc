//! An edit touches nothing but its line, over the files people have and over generated ones.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use proptest::prelude::*;
use secrets_api::{
    Change, Ctx, ErrorKind, Name, Op, Precondition, Provider, ProviderExt as _, SecretValue,
    Select, StoreUri,
};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

struct File(TestOpening);

impl File {
    fn new(content: impl AsRef<[u8]>) -> Self {
        let opening = TestOpening::new();
        std::fs::write(opening.root.join(".env"), content).unwrap();
        Self(opening)
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.root.join(".env")
    }

    fn store(&self) -> std::sync::Arc<dyn Provider> {
        let uri = StoreUri::parse("dotenv:.env").unwrap();
        secrets_dotenv::open(&self.0.opening(&uri)).unwrap()
    }

    fn change(&self, name: &str, op: Op<'_>) -> secrets_api::Result<()> {
        let name = Name::new(name).unwrap();
        let cx = Ctx::within(std::time::Duration::from_secs(5));
        let change = Change {
            name: &name,
            op,
            when: Precondition::Unguarded,
        };
        block_on(self.store().write_one(&cx, change)).map(|_| ())
    }

    fn set(&self, name: &str, value: &str) -> secrets_api::Result<()> {
        self.change(name, Op::Put(&SecretValue::from_slice(value.as_bytes())))
    }

    fn text(&self) -> String {
        String::from_utf8(std::fs::read(self.path()).unwrap()).unwrap()
    }
}

#[test]
fn only_what_was_asked_is_changed() {
    for (before, name, value, after) in [
        ("A=1\nB=2\n", "A", "3", "A=3\nB=2\n"),
        ("A=1 # why\n", "A", "3", "A=3 # why\n"),
        ("A='1'# why\n", "A", "3", "A=3 # why\n"),
        (
            "  export A = \"1\"\t# why\r\n",
            "A",
            "x y",
            "  export A = 'x y'\t# why\r\n",
        ),
        ("A=1\nA=2\n", "A", "3", "A=1\nA=3\n"),
        ("A\nB=1\n", "A", "3", "A=3\nB=1\n"),
        ("A=\n", "A", "3", "A=3\n"),
        ("A=1", "A", "", "A=''"),
        ("A=1", "B", "2", "A=1\nB=2"),
        ("A=1\r\n", "B", "2", "A=1\r\nB=2\r\n"),
        ("", "B", "2", "B=2\n"),
        ("\u{feff}", "B", "2", "\u{feff}B=2\n"),
        ("\u{feff}A=1\n", "A", "2", "\u{feff}A=2\n"),
        ("'A'=1\n", "A", "2", "'A'=2\n"),
        ("A='1\n2'\nB=3\n", "A", "4\n5", "A='4\n5'\nB=3\n"),
        ("A=1\nURL=x${A}y\n", "URL", "x1y", "A=1\nURL=x${A}y\n"),
        ("A=1\nURL=x${A}y\n", "URL", "other", "A=1\nURL=other\n"),
        ("A=1\nURL=x${A}y\n", "A", "2", "A=2\nURL=x${A}y\n"),
    ] {
        let file = File::new(before);
        file.set(name, value).unwrap();
        assert_eq!(file.text(), after, "{before:?} {name}={value:?}");
    }
}

#[test]
fn a_removal_takes_every_line_of_the_name_and_no_other() {
    for (before, after) in [
        ("# c\n\nA=1\nB=2\n", "# c\n\nB=2\n"),
        ("A=1\nB=2\nexport A=3 # x\n", "B=2\n"),
        ("B=2\nA='1\n2'", "B=2\n"),
        ("B=2\r\nA=1\r\n\r\n# end", "B=2\r\n\r\n# end"),
        ("B=2\n", "B=2\n"),
        ("\u{feff}A=1\nB=2\n", "\u{feff}B=2\n"),
    ] {
        let file = File::new(before);
        file.change("A", Op::Delete).unwrap();
        assert_eq!(file.text(), after, "{before:?}");
    }
}

#[test]
fn a_carriage_return_alone_ends_a_line_where_its_reader_says_so() {
    use secrets_dotenv::Dialect::{Godotenv, Node, Ruby, Systemd};
    for dialect in [Node, Ruby, Systemd, Godotenv] {
        let entries = secrets_dotenv::parse(dialect, b"A=1\rB=2\rC=3\r").unwrap();
        let names: Vec<_> = entries.iter().map(|e| e.name.as_ref()).collect();
        assert_eq!(names, ["A", "B", "C"], "{dialect:?}");
    }
    let opening = TestOpening::new();
    for dialect in ["node", "ruby", "systemd"] {
        std::fs::write(opening.root.join(".env"), "A=1\rB=2\rC=3\n").unwrap();
        let uri = StoreUri::parse(&format!("dotenv:.env?dialect={dialect}")).unwrap();
        let store = secrets_dotenv::open(&opening.opening(&uri)).unwrap();
        let name = Name::new("B").unwrap();
        let change = Change {
            name: &name,
            op: Op::Delete,
            when: Precondition::Unguarded,
        };
        let cx = Ctx::within(std::time::Duration::from_secs(5));
        block_on(store.write_one(&cx, change)).unwrap();
        let text = std::fs::read_to_string(opening.root.join(".env")).unwrap();
        assert_eq!(text, "A=1\rC=3\n", "{dialect}");
    }
}

#[test]
fn a_shell_s_export_passes_on_what_is_set_and_changes_nothing() {
    let shell = secrets_dotenv::Dialect::Shell;
    for text in ["A=1\nexport A\n", "A=1; export A\n", "export A\nA=1\n"] {
        let entries = secrets_dotenv::parse(shell, text.as_bytes()).unwrap();
        assert_eq!(entries.len(), 1, "{text}");
        assert_eq!(entries[0].value.as_ref().unwrap().expose(), b"1", "{text}");
    }
}

#[test]
fn a_shell_s_export_goes_with_the_last_of_its_items() {
    let opening = TestOpening::new();
    for (before, after) in [
        ("export A=1 B=2 # c\nC=3\n", "# c\nC=3\n"),
        ("export A=1 B=2\nC=3\n", "C=3\n"),
        ("C=3; export A=1 B=2\n", "C=3; \n"),
        ("export A=1 B=2; C=3\n", "C=3\n"),
        ("export A=1 C=3 B=2\n", "export C=3\n"),
        ("export A=1 C B=2\n", "export C\n"),
        ("B=1 A=2\n", "\n"),
    ] {
        std::fs::write(opening.root.join(".env"), before).unwrap();
        let uri = StoreUri::parse("dotenv:.env?dialect=shell").unwrap();
        let store = secrets_dotenv::open(&opening.opening(&uri)).unwrap();
        let names = ["A", "B"].map(|name| Name::new(name).unwrap());
        let changes = names.each_ref().map(|name| Change {
            name,
            op: Op::Delete,
            when: Precondition::Unguarded,
        });
        let cx = Ctx::within(std::time::Duration::from_secs(5));
        block_on(store.write(&cx, None, &changes)).unwrap();
        let text = std::fs::read_to_string(opening.root.join(".env")).unwrap();
        assert_eq!(text, after, "{before:?}");
    }
}

#[test]
fn what_one_shell_or_one_run_reads_otherwise_is_refused() {
    let reads =
        |text: &'static str| secrets_dotenv::parse(secrets_dotenv::Dialect::Shell, text.as_bytes());
    for text in [
        "A=~/bin",
        "A=x:~",
        "A=$PPID",
        "A=${PWD:-x}",
        "UID=5",
        "export A={a,b}",
        "export A={1..3}",
        "export # all",
    ] {
        let error = reads(text).map(|_| ()).unwrap_err();
        assert!(error.message().starts_with("line 1, column "), "{text}");
    }
    for text in [
        "A='~/bin'",
        "A=x~",
        "A={a,b}",
        "export A='{a,b}'",
        "A=$HOMES",
    ] {
        assert!(reads(text).is_ok(), "{text}");
    }
}

#[test]
fn node_ends_lines_where_ecmascript_does() {
    let reads = |text: &str| -> Vec<(String, String)> {
        secrets_dotenv::parse(secrets_dotenv::Dialect::Node, text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|e| {
                let value = String::from_utf8(e.value.unwrap().expose().to_vec()).unwrap();
                (e.name.into_owned(), value)
            })
            .collect()
    };
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(n, v)| ((*n).into(), (*v).into()))
            .collect()
    };
    assert_eq!(
        reads("A:\r\nB=1\r\nC=1\r\n"),
        pairs(&[("A", "B=1"), ("C", "1")])
    );
    assert_eq!(reads("A=''\u{2028}#' \r\n"), pairs(&[("A", "")]));
    assert_eq!(reads("# c\u{2028}A=1\n"), pairs(&[("A", "1")]));
    assert_eq!(reads("A=x\u{2028}y\n"), pairs(&[("A", "x\u{2028}y")]));
}

#[test]
fn ruby_takes_an_export_of_what_is_set_and_no_other() {
    let ruby = secrets_dotenv::Dialect::Ruby;
    let entries = secrets_dotenv::parse(ruby, b"A=1\nexport A\n").unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].value.as_ref().unwrap().expose(), b"1");
    assert!(secrets_dotenv::parse(ruby, b"export A\nA=1\n").is_err());
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place_and_left_alone() {
    for (content, place) in [
        (&b"A=1\nB='canary\n"[..], "line 2, column 3"),
        (b"A=1\n\xff\n", "line 2, column 1"),
        (b"A=1\nB=\0canary\n", "line 2, column 3"),
        (b"A='x' canary\n", "line 1, column 7"),
    ] {
        let file = File::new(content);
        let error = file.set("A", "2").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.message().contains(place), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        assert_eq!(std::fs::read(file.path()).unwrap(), content);
    }
}

#[test]
fn a_batch_that_changes_what_a_kept_line_names_writes_that_line_out() {
    for (before, values, after) in [
        ("A=1\nU=x${A}\n", [("A", "2"), ("U", "x1")], "A=2\nU=x1\n"),
        ("A=1\nU=x${A}\n", [("U", "x1"), ("A", "2")], "A=2\nU=x1\n"),
        ("A=1\nU=x${A}\n", [("A", "2"), ("U", "x2")], "A=2\nU=x2\n"),
        (
            "A=1\nU=x${A}\nB=1\n",
            [("B", "2"), ("U", "x1")],
            "A=1\nU=x${A}\nB=2\n",
        ),
    ] {
        let file = File::new(before);
        let values = values.map(|(name, value)| {
            (
                Name::new(name).unwrap(),
                SecretValue::from_slice(value.as_bytes()),
            )
        });
        let changes: Vec<_> = values
            .iter()
            .map(|(name, value)| Change {
                name,
                op: Op::Put(value),
                when: Precondition::Unguarded,
            })
            .collect();
        let cx = Ctx::within(std::time::Duration::from_secs(5));
        block_on(file.store().write(&cx, None, &changes)).unwrap();
        assert_eq!(file.text(), after, "{before:?}");
    }
}

#[test]
fn an_empty_batch_makes_no_file_and_still_holds_on_to_its_base() {
    let opening = TestOpening::new();
    let uri = StoreUri::parse("dotenv:not/there/.env").unwrap();
    let store = secrets_dotenv::open(&opening.opening(&uri)).unwrap();
    let cx = Ctx::within(std::time::Duration::from_secs(5));
    let revision = block_on(store.write(&cx, None, &[])).unwrap().revision;
    assert!(block_on(store.write(&cx, revision.as_ref(), &[])).is_ok());
    assert!(!opening.root.join("not").exists());
    let other = secrets_api::Revision::new("other");
    let error = block_on(store.write(&cx, Some(&other), &[])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[test]
fn values_of_others_are_never_our_environments() {
    let file = File::new("A=${HOME}${PATH:-none}\n");
    let cx = Ctx::within(std::time::Duration::from_secs(5));
    let name = Name::new("A").unwrap();
    let found = block_on(file.store().read_one(&cx, &name))
        .unwrap()
        .into_found()
        .unwrap();
    assert_eq!(found.value.expose_text(), Some("none"));
    assert!(found.meta.derived);
}

#[test]
fn a_version_says_nothing_without_this_machines_key() {
    let file = File::new("A=1\n");
    let mut other = TestOpening::new();
    other.root.clone_from(&file.0.root);
    other.machine_key = secrets_testkit::opening::key(&[7; 32]);
    let cx = Ctx::within(std::time::Duration::from_secs(5));
    let version = |opening: &TestOpening| {
        let uri = StoreUri::parse("dotenv:.env").unwrap();
        let store = secrets_dotenv::open(&opening.opening(&uri)).unwrap();
        block_on(store.list(&cx))
            .unwrap()
            .remove(0)
            .1
            .version
            .unwrap()
    };
    assert_eq!(version(&file.0), version(&file.0));
    assert_ne!(version(&file.0), version(&other));
}

#[test]
fn odd_addresses_are_refused() {
    let opening = TestOpening::new();
    for uri in [
        "dotenv:",
        "dotenv:.env?dialct=x",
        "dotenv:.env?dialect=python",
    ] {
        let uri = StoreUri::parse(uri).unwrap();
        assert_eq!(
            secrets_dotenv::open(&opening.opening(&uri))
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidConfig
        );
    }
    let uri = StoreUri::parse("dotenv:.").unwrap();
    let store = secrets_dotenv::open(&opening.opening(&uri)).unwrap();
    let cx = Ctx::within(std::time::Duration::from_secs(5));
    let error = block_on(store.read(&cx, Select::All)).unwrap_err();
    assert!(error.to_string().contains("is a folder"), "{error}");
    assert!(Path::new(&opening.root).is_dir());
}

/// Lines of the sort that files have, and some that they should not.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "# [ -~é]{0,12}",
        "[ \t]{0,2}(export )?[A-D]{1,2}[ ]{0,2}=[ ]{0,2}[a-z$#é \\\\{}]{0,10}",
        "[A-D]='[a-z\"$#é \\\\{}\n]{0,10}'( # c)?",
        "[A-D]=\"[a-z'$#é \\\\{}\n]{0,10}\"( # c)?",
        "[A-D]=\\$\\{[A-D](:-x)?\\}",
        "[A-D]",
    ]
}

proptest! {
    #[test]
    fn any_text_without_nul_has_a_form_and_is_read_back_from_it(
        value in prop_oneof![any::<String>(), "[a-z$'\"`#\\\\{}:\r\n\t -]{0,24}"],
    ) {
        let dialect = secrets_dotenv::Dialect::PythonDotenv;
        let name = Name::new("N").unwrap();
        let value = SecretValue::from_vec(value.replace('\0', "").into_bytes());
        let line = secrets_dotenv::render_line(dialect, &name, &value).unwrap();
        let mut read = secrets_dotenv::parse(dialect, line.expose()).unwrap();
        prop_assert_eq!(read.len(), 1);
        let read = read.remove(0);
        prop_assert_eq!((&*read.name, read.derived), ("N", false));
        prop_assert!(read.value.unwrap().into_secret().same_as(&value));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "[ A='\"\\\\#$\\{}:\r\nx\u{feff}\u{85}é-]{0,48}") {
        let dialect = secrets_dotenv::Dialect::PythonDotenv;
        let _ = secrets_dotenv::parse(dialect, &bytes);
        let _ = secrets_dotenv::parse(dialect, text.as_bytes());
    }

    #[test]
    fn whatever_the_file_an_edit_leaves_all_other_lines_byte_for_byte(
        lines in prop::collection::vec(line(), 0..8),
        ends in prop::sample::select(vec!["\n", "\r\n"]),
        last in any::<bool>(),
        value in prop_oneof![any::<String>(), "[a-z$'\"#\\\\{}\n ]{0,12}"],
    ) {
        let mut text = lines.join(ends);
        if last && !text.is_empty() {
            text.push_str(ends);
        }
        let file = File::new(&text);
        match file.set("A", &value) {
            // A file its reader could not read, or a value no form holds: nothing has happened.
            Err(error) => {
                let dialect = secrets_dotenv::Dialect::PythonDotenv;
                let readable = secrets_dotenv::parse(dialect, text.as_bytes()).is_ok();
                prop_assert!(!readable || value.contains('\0'), "{:?} {:?} {}", text, value, error);
                prop_assert_eq!(file.text(), text);
            }
            Ok(()) => {
                let dialect = secrets_dotenv::Dialect::PythonDotenv;
                let now = file.text();
                let items = |text: &str| -> Vec<secrets_dotenv::Entry<'static>> {
                    let entries = secrets_dotenv::parse(dialect, text.as_bytes()).unwrap();
                    entries.into_iter().map(secrets_dotenv::Entry::into_owned).collect()
                };
                let found = items(&now).into_iter().rfind(|e| e.name == "A").unwrap();
                let read = found.value.unwrap();
                prop_assert_eq!(read.expose(), value.as_bytes());
                let keys = |text: &str| items(text).into_iter().map(|e| e.name).filter(|n| n != "A").collect::<Vec<_>>();
                prop_assert_eq!(keys(&now), keys(&text));
                // Without the lines of A both are the same file, byte for byte; only a line end
                // that was missing has been added before a new last line.
                let untouched = File::new(&text);
                if let Err(error) = file.change("A", Op::Delete) {
                    // Another line is put together from it.
                    prop_assert!(text.contains("${A"), "{:?} {}", text, error);
                    prop_assert_eq!(file.text(), now);
                    return Ok(());
                }
                untouched.change("A", Op::Delete).unwrap();
                let (before, after) = (untouched.text(), file.text());
                let added = after.strip_prefix(before.as_str());
                prop_assert!(
                    matches!(added, Some("" | "\n" | "\r\n")),
                    "{:?} -> {:?}",
                    before,
                    after
                );
            }
        }
    }
}
