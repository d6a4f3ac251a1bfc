//! A person at a machine of their own: what the tests of trust are played with.
#![allow(dead_code, unreachable_pub)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrets_api::{
    Change, Ctx, Error, ErrorKind, Name, Op, Precondition, Provider, ProviderExt as _, SecretValue,
    StoreUri,
};
use secrets_local::{Created, Folder, Identity, Member};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

/// A person at a machine of their own, with a clone of the project.
pub struct Person {
    pub opening: TestOpening,
    pub identity: Identity,
}

impl Person {
    pub fn new() -> Self {
        let identity = Identity::generate();
        let opening = TestOpening::new().with_identity(identity.to_secret().expose());
        Self { opening, identity }
    }

    /// The first one, who makes the store.
    pub fn founder() -> Self {
        let person = Self::new();
        assert_eq!(person.folder().init("ada", None).unwrap(), Created::Now);
        person
    }

    /// The same person at another machine, where nothing was seen yet.
    pub fn on_another_machine(&self) -> Self {
        let text = self.identity.to_secret();
        let opening = TestOpening::new().with_identity(text.expose());
        let identity = Identity::parse(&text).unwrap();
        Self { opening, identity }
    }

    /// The same person at the same machine, in another folder.
    pub fn elsewhere(&self) -> Self {
        let mut person = self.on_another_machine();
        person.opening.dirs = self.opening.dirs.clone();
        person
    }

    /// Makes a store of their own, sealed to another too, that says it is the other's.
    pub fn forge(&self, of: &Person, name: &str) {
        let folder = self.folder();
        folder.init(name, Some(&of.identity.recipient())).unwrap();
        let list = std::fs::read_to_string(self.file("recipients.toml")).unwrap();
        let list = list.replace(&self.id(), &of.id());
        std::fs::write(self.file("recipients.toml"), list).unwrap();
        std::fs::remove_dir_all(self.opening.dirs.state.join("local")).unwrap();
        self.accept("dev");
    }

    /// Says yes to what waits; something does.
    pub fn accept(&self, name: &str) {
        let review = self.folder().review(name).unwrap();
        assert!(!review.is_empty(), "nothing waits in {name}");
        self.folder().accept(name, review.digest()).unwrap();
    }

    /// The line of the list that says which store it is.
    pub fn id(&self) -> String {
        let list = std::fs::read_to_string(self.file("recipients.toml")).unwrap();
        let line = list.lines().find(|line| line.starts_with("store = "));
        line.unwrap().to_owned()
    }

    pub fn folder(&self) -> Folder {
        Folder::new(
            &self.opening.root,
            &self.opening.dirs,
            Arc::clone(&self.opening.identity),
        )
    }

    pub fn store(&self, uri: &str) -> Arc<dyn Provider> {
        secrets_local::open(&self.opening.opening(&StoreUri::parse(uri).unwrap())).unwrap()
    }

    pub fn set(&self, uri: &str, name: &str, value: &str) -> secrets_api::Result<()> {
        let (name, value) = (
            Name::new(name).unwrap(),
            SecretValue::from_slice(value.as_bytes()),
        );
        let change = Change {
            name: &name,
            op: Op::Put(&value),
            when: Precondition::Unguarded,
        };
        block_on(self.store(uri).write_one(&cx(), change)).map(|_| ())
    }

    pub fn get(&self, uri: &str, name: &str) -> secrets_api::Result<Option<String>> {
        let lookup = block_on(self.store(uri).read_one(&cx(), &Name::new(name).unwrap()))?;
        Ok(lookup
            .found()
            .map(|stored| stored.value.expose_text().unwrap().to_owned()))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.opening.root.join(".secrets").join(name)
    }

    pub fn sealed(&self) -> Vec<u8> {
        std::fs::read(self.file("dev.age")).unwrap()
    }

    pub fn member(&self, name: &str, environments: &[&str]) -> Member {
        Member {
            name: name.to_owned(),
            age: self.identity.recipient(),
            sign: Some(self.identity.signing_key()),
            environments: environments.iter().map(|e| (*e).to_owned()).collect(),
            recovery: false,
        }
    }

    /// What a `git pull` does.
    pub fn pull(&self, from: &Person) {
        let _ = std::fs::create_dir(self.opening.root.join(".secrets"));
        for entry in std::fs::read_dir(from.opening.root.join(".secrets")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), self.file(entry.file_name().to_str().unwrap())).unwrap();
        }
    }

    /// Seals text as anyone can who knows the public key.
    pub fn seal(&self, plain: &[u8]) {
        let recipient: age::x25519::Recipient = self.identity.recipient().parse().unwrap();
        let sealed = age::encrypt_and_armor(&recipient, plain).unwrap();
        std::fs::write(self.file("dev.age"), sealed).unwrap();
    }

    pub fn opened(&self) -> Vec<u8> {
        let text = self.identity.to_secret();
        let key: age::x25519::Identity = text.expose_text().unwrap().parse().unwrap();
        age::decrypt(&key, &self.sealed()).unwrap()
    }

    /// The body of what is sealed, without its header, which says who signed it.
    pub fn body(&self) -> String {
        let opened = String::from_utf8(self.opened()).unwrap();
        opened.split_once('\n').unwrap().1.to_owned()
    }
}

pub fn cx() -> Ctx {
    Ctx::within(Duration::from_secs(5))
}

pub fn refused<T: std::fmt::Debug>(
    result: secrets_api::Result<T>,
    kind: ErrorKind,
    words: &str,
) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    assert!(error.hint().is_some(), "{error} has no hint");
    error
}
