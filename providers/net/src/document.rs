//! Several secrets in one value: a JSON object whose text fields are secrets. Fields that are no
//! secrets (other names, numbers, objects) are kept byte for byte by every change.

use secrets_api::{
    Change, Error, ErrorKind, Lookup, Meta, Name, Op, Precondition, REVISION, Result, SecretValue,
    Stored, Version, Zeroizing,
};

use crate::Marks;
use crate::fields::{self, Fields};

/// Such an object.
#[derive(Default)]
pub struct Document(Fields);

impl Document {
    /// Takes a JSON text apart.
    ///
    /// # Errors
    /// `InvalidData` for what is no JSON object, or has a field twice. No part of it is repeated.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let wrong = || {
            Error::new(
                ErrorKind::InvalidData,
                "the document is no JSON object of names and texts",
            )
            .with_hint("one secret a field: {\"SECRET_KEY\": \"…\"}")
        };
        fields::parse(text).map(Self).ok_or_else(wrong)
    }

    /// The value of this name: `None` where there is none.
    ///
    /// # Errors
    /// `InvalidData` for a field that is no text: nobody can say how it is meant as a variable.
    pub fn get(&self, name: &Name) -> Option<Result<SecretValue>> {
        let (_, json) = self.0.iter().find(|(field, _)| field == name.as_str())?;
        let wrong = || {
            let what = match json.as_bytes().first() {
                Some(b'{') => "an object",
                Some(b'[') => "a list",
                Some(b't' | b'f') => "true or false",
                Some(b'n') => "null",
                _ => "a number",
            };
            Error::new(
                ErrorKind::InvalidData,
                format!("{name} is {what}, not a text"),
            )
            .about(name)
            .with_hint(format!("store it as a text: `secrets set {name}`"))
        };
        let text = fields::text(json);
        Some(
            text.map(|text| SecretValue::from_slice(text.as_bytes()))
                .ok_or_else(wrong),
        )
    }

    /// The names of secrets, in the document's order.
    pub fn names(&self) -> impl Iterator<Item = Name> + '_ {
        self.0.iter().filter_map(|(field, _)| Name::new(field).ok())
    }

    /// The fields whose names are no names of secrets.
    pub fn foreign(&self) -> Vec<String> {
        let fields = self.0.iter().map(|(field, _)| field);
        fields
            .filter(|field| Name::new(field).is_err())
            .cloned()
            .collect()
    }

    /// All fields, secrets or not.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(field, _)| field.as_str())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy, to be changed beside what was read.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Stores a text.
    ///
    /// # Errors
    /// `Unsupported` for bytes that are no UTF-8.
    pub fn set(&mut self, name: &Name, value: &SecretValue) -> Result<()> {
        let no_text = || Error::unsupported(format!("{name} is no UTF-8 text")).about(name);
        let text = value.expose_text().ok_or_else(no_text)?;
        let json = fields::string(text);
        let json = Zeroizing::new(std::str::from_utf8(&json).unwrap_or_default().to_owned());
        match self.0.iter_mut().find(|(field, _)| field == name.as_str()) {
            Some((_, old)) => *old = json,
            None => self.0.push((name.as_str().to_owned(), json)),
        }
        Ok(())
    }

    /// Removes a name; whether it was there.
    pub fn remove(&mut self, name: &Name) -> bool {
        let before = self.0.len();
        self.0.retain(|(field, _)| field != name.as_str());
        self.0.len() < before
    }

    /// The document as JSON.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        fields::to_json(&self.0)
    }

    /// Whether both hold the same fields, in whatever order.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|(name, json)| {
                let twin = other.0.iter().find(|(field, _)| field == name);
                twin.is_some_and(|(_, theirs)| **theirs == **json)
            })
    }

    /// What a read finds under this name.
    ///
    /// # Errors
    /// As [`Document::get`].
    pub fn look(&self, name: &Name, marks: &Marks, meta: &Meta) -> Result<Lookup> {
        let Some(value) = self.get(name) else {
            return Ok(Lookup::Absent);
        };
        let value = value?;
        let version = Some(marks.version(name, &value));
        let meta = Meta {
            version,
            ..meta.clone()
        };
        Ok(Lookup::Found(Stored { value, meta }))
    }

    /// Checks all preconditions, then makes all changes; the new versions, in order.
    ///
    /// # Errors
    /// `Conflict` about the first name whose precondition does not hold; `Unsupported` for bytes that
    /// are no text. Nothing is changed then.
    pub fn change(
        &mut self,
        marks: &Marks,
        changes: &[Change<'_>],
    ) -> Result<Vec<Option<Version>>> {
        for Change { name, op, when } in changes {
            // A field that is no text has no version: it is guarded by being there.
            let present = self
                .get(name)
                .map(|value| value.map(|value| marks.version(name, &value)).ok());
            let holds = match when {
                Precondition::Unguarded => true,
                Precondition::Absent => present.is_none(),
                Precondition::Version(version) => present.flatten().as_ref() == Some(version),
            };
            if !holds {
                return Err(Error::conflict(name));
            }
            if let Op::Put(value) = op
                && value.expose_text().is_none()
            {
                return Err(Error::unsupported(format!("{name} is no UTF-8 text")).about(name));
            }
        }
        let mut versions = Vec::with_capacity(changes.len());
        for Change { name, op, .. } in changes {
            versions.push(match op {
                Op::Put(value) => {
                    self.set(name, value)?;
                    Some(marks.version(name, value))
                }
                Op::Delete => {
                    self.remove(name);
                    None
                }
                Op::Restore => {
                    return Err(Error::unsupported(format!(
                        "{name} cannot be restored by itself: the store keeps whole documents"
                    ))
                    .about(name));
                }
            });
        }
        Ok(versions)
    }
}

/// One state of a document: what is known of it, with its revision as the version, and what it held
/// (`None` where it was deleted).
pub type State = (Meta, Option<Document>);

/// A state of which nobody can say any more what it held.
pub fn unknown() -> State {
    (Meta::default(), None)
}

fn is_unknown((meta, document): &State) -> bool {
    meta.version.is_none() && document.is_none()
}

/// The states of one secret, newest first, out of the states of its document, newest first: one for
/// each time it came to hold another value, and one for each time it went. Each is labelled, by
/// [`secrets_api::REVISION`], with the revisions of the document that held it: with none from before a
/// state that is unknown, in which it may have been another.
pub fn history(states: &[State], name: &Name, marks: &Marks) -> Vec<Meta> {
    let mut found: Vec<Meta> = Vec::new();
    let mut before: Option<Version> = None;
    for state in states.iter().rev() {
        if is_unknown(state) {
            let labels = found.last_mut().map(|state| &mut state.tags);
            labels
                .into_iter()
                .for_each(|tags| tags.retain(|(key, _)| key != REVISION));
            continue;
        }
        let (meta, document) = state;
        let value = document.as_ref().and_then(|d| d.get(name)?.ok());
        let now = value.map(|value| marks.version(name, &value));
        if now != before {
            found.push(Meta {
                deleted: now.is_none(),
                version: now.clone(),
                ..meta.clone()
            });
        }
        if let (Some(state), Some(revision)) = (found.last_mut(), &meta.version) {
            let label = (REVISION.to_owned(), revision.as_str().to_owned());
            state.tags.push(label);
        }
        before = now;
    }
    found.reverse();
    found
}

/// The value of one state of a secret: the newest that has this version.
pub fn look_back(states: &[State], name: &Name, version: &Version, marks: &Marks) -> Lookup {
    for (meta, document) in states {
        let value = document.as_ref().and_then(|d| d.get(name)?.ok());
        if let Some(value) = value.filter(|value| marks.version(name, value) == *version) {
            let meta = Meta {
                version: Some(version.clone()),
                ..meta.clone()
            };
            return Lookup::Found(Stored { value, meta });
        }
    }
    Lookup::Absent
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({} fields)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn value(text: &str) -> SecretValue {
        SecretValue::from_slice(text.as_bytes())
    }

    fn marks() -> Marks {
        let key = Arc::new(value("key"));
        let source: secrets_api::KeySource = Arc::new(move || Ok(Arc::clone(&key)));
        Marks::new(&source, "vault:x").unwrap()
    }

    #[test]
    fn what_a_change_does_not_name_stays_byte_for_byte_and_in_order() {
        let text = r#"{"z-other": {"deep":[1,  2.50]}, "PORT": 5432, "B":"b\u00e9","A":"a"}"#;
        let mut document = Document::parse(text.as_bytes()).unwrap();
        document
            .set(&name("A"), &value("new \"quoted\"\n"))
            .unwrap();
        document.set(&name("C"), &value("")).unwrap();
        assert!(document.remove(&name("B")) && !document.remove(&name("NONE")));
        let json = document.to_json();
        assert_eq!(
            std::str::from_utf8(&json).unwrap(),
            r#"{"z-other":{"deep":[1,  2.50]},"PORT":5432,"A":"new \"quoted\"\n","C":""}"#
        );
        assert_eq!(document.foreign(), ["z-other"]);
    }

    #[test]
    fn what_is_no_object_of_texts_is_an_error_that_shows_nothing_of_it() {
        for text in [
            "",
            "canary",
            "[\"canary\"]",
            "\"canary\"",
            "{\"A\":\"canary\"} x",
            "{\"A\":\"canary\",\"A\":\"\"}",
            "{\"A\":\"canary\\q\"}",
        ] {
            let error = Document::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{text}");
            assert!(!format!("{error:?}").contains("canary"), "{text}");
        }
        let document = Document::parse(br#"{"A":5432,"B":null,"C":{"x":"canary"}}"#).unwrap();
        for field in ["A", "B", "C"] {
            let error = document.get(&name(field)).unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(!format!("{error:?}").contains("canary"));
        }
    }

    #[test]
    fn a_batch_whose_precondition_does_not_hold_changes_nothing() {
        let mut document = Document::parse(br#"{"A":"a","B":"b"}"#).unwrap();
        let (a, b, new) = (name("A"), name("B"), value("new"));
        let put = |name, when| Change {
            name,
            op: Op::Put(&new),
            when,
        };
        let seen = marks().version(&b, &value("b"));
        let batch = [
            put(&a, Precondition::Unguarded),
            put(&b, Precondition::Absent),
        ];
        let error = document.change(&marks(), &batch).unwrap_err();
        assert_eq!(
            (error.kind(), error.name()),
            (ErrorKind::Conflict, Some(&b))
        );
        assert_eq!(&**document.to_json(), br#"{"A":"a","B":"b"}"#);
        let batch = [
            put(&a, Precondition::Unguarded),
            put(&b, Precondition::Version(seen)),
        ];
        document.change(&marks(), &batch).unwrap();
        assert_eq!(&**document.to_json(), br#"{"A":"new","B":"new"}"#);
    }

    /// States of a document, newest first, by their revisions.
    fn states(all: &[(&str, Option<&str>)]) -> Vec<State> {
        let state = |(revision, text): &(&str, Option<&str>)| {
            let meta = Meta {
                version: Some(Version::new(*revision)),
                ..Meta::default()
            };
            let document = text.map(|text| Document::parse(text.as_bytes()).unwrap());
            (meta, document)
        };
        all.iter().map(state).collect()
    }

    #[test]
    fn a_history_has_one_state_for_each_change_of_the_name_alone() {
        let states = states(&[
            ("5", Some(r#"{"B":"2"}"#)),
            ("4", Some(r#"{"A":"2","B":"2"}"#)),
            ("3", Some(r#"{"A":"2"}"#)),
            ("2", Some(r#"{"A":"1"}"#)),
            ("1", Some("{}")),
        ]);
        let told = history(&states, &name("A"), &marks());
        let version = |text| Some(marks().version(&name("A"), &value(text)));
        let seen: Vec<_> = told
            .iter()
            .map(|m| (m.deleted, m.version.clone()))
            .collect();
        assert_eq!(
            seen,
            [(true, None), (false, version("2")), (false, version("1"))]
        );
        let back = look_back(&states, &name("A"), &version("1").unwrap(), &marks());
        assert_eq!(back.into_found().unwrap().value.expose(), b"1");
    }

    /// The revisions that each state of `A` bears, newest state and oldest revision first.
    fn borne(states: &[State]) -> Vec<Vec<String>> {
        let told = history(states, &name("A"), &marks());
        let revisions = |meta: Meta| {
            let labels = meta.tags.into_iter();
            labels
                .inspect(|(key, _)| assert_eq!(key, REVISION))
                .map(|(_, revision)| revision)
                .collect()
        };
        told.into_iter().map(revisions).collect()
    }

    #[test]
    fn each_state_bears_the_revisions_that_held_it() {
        let other = [
            ("3", Some(r#"{"B":"2"}"#)),
            ("2", None),
            ("1", Some(r#"{"B":"1"}"#)),
        ];
        assert!(borne(&states(&other)).is_empty(), "it was never there");
        let all = [
            ("9", Some(r#"{"A":"1","B":"3"}"#)),
            ("8", Some(r#"{"A":"1"}"#)),
            ("7", None),
            ("6d", None),
            ("5", Some(r#"{"A":"1"}"#)),
            ("4", Some(r#"{"A":"2"}"#)),
            ("3", Some(r#"{"A":"1","B":"2"}"#)),
            ("2", Some(r#"{"A":"1"}"#)),
            ("1", Some(r#"{"B":"1"}"#)),
        ];
        let wanted: [&[&str]; 5] = [&["8", "9"], &["6d", "7"], &["5"], &["4"], &["2", "3"]];
        assert_eq!(borne(&states(&all)), wanted);
    }

    #[test]
    fn a_state_bears_nothing_from_before_what_is_unknown() {
        let mut all = states(&[
            ("6", Some(r#"{"A":"1","B":"2"}"#)),
            ("5", Some(r#"{"A":"1"}"#)),
            ("3", Some(r#"{"A":"1"}"#)),
            ("2", Some(r#"{"A":"2"}"#)),
        ]);
        all.insert(2, unknown());
        all.push(unknown());
        let wanted: [&[&str]; 2] = [&["5", "6"], &["2"]];
        assert_eq!(borne(&all), wanted);
        let newest_unknown = [unknown(), all.remove(0)];
        assert_eq!(borne(&newest_unknown), [[""; 0]]);
    }
}
