//! Preconditions on single changes, and the versions they name.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use secrets_api::{ErrorKind, Guard, Name, Op, Precondition, Result, SecretValue, Select, Version};
use sha2::{Digest as _, Sha256, Sha512};

use crate::stage::{Outcome, Stage, became, ensure, is, name, value};

pub(super) fn a_name_is_created_once(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    stage
        .open()
        .put_when(&a, &value("first"), Precondition::Absent)?;
    for handle in [stage.open(), stage.open()] {
        let again = handle.put_when(&a, &value("second"), Precondition::Absent);
        ensure!(
            is(&again, ErrorKind::Conflict),
            "creating what is there: {}",
            became(&again)
        );
    }
    let same = stage
        .open()
        .put_when(&a, &value("first"), Precondition::Absent);
    ensure!(
        is(&same, ErrorKind::Conflict),
        "creating what is there, with its own value: {}",
        became(&same)
    );
    ensure!(
        stage.open().holds(&a, &value("first"))?,
        "the first value is gone"
    );
    stage
        .open()
        .put_when(&name("EMPTY"), b"", Precondition::Absent)?;
    let over_empty = stage
        .open()
        .put_when(&name("EMPTY"), b"x", Precondition::Absent);
    ensure!(
        is(&over_empty, ErrorKind::Conflict),
        "creating over an empty value: {}",
        became(&over_empty)
    );
    Ok(())
}

pub(super) fn a_stale_version_is_a_conflict(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let (ours, theirs) = (stage.open(), stage.open());
    ours.put(&a, &value("1"))?;
    let first = ours.version(&a)?;
    ours.put_when(&a, &value("2"), Precondition::Version(first.clone()))?;
    let second = ours.version(&a)?;
    theirs.put(&a, &value("3"))?;
    for stale in [first, second, Version::new("no-such-version")] {
        let answer = ours.put_when(&a, &value("4"), Precondition::Version(stale));
        ensure!(
            is(&answer, ErrorKind::Conflict),
            "a write under a stale version: {}",
            became(&answer)
        );
    }
    ensure!(
        theirs.holds(&a, &value("3"))?,
        "what was written meanwhile is lost"
    );
    let third = theirs.version(&a)?;
    let absent = ours.put_when(
        &name("B"),
        &value("b"),
        Precondition::Version(third.clone()),
    );
    ensure!(
        is(&absent, ErrorKind::Conflict),
        "a write under a version of what is not there: {}",
        became(&absent)
    );
    ours.put_when(&a, &value("5"), Precondition::Version(third))?;
    ensure!(
        theirs.holds(&a, &value("5"))?,
        "a write under the present version is lost"
    );
    Ok(())
}

pub(super) fn a_guarded_deletion_keeps_what_came_meanwhile(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let (ours, theirs) = (stage.open(), stage.open());
    ours.put(&a, &value("1"))?;
    let seen = ours.version(&a)?;
    theirs.put(&a, &value("2"))?;
    let answer = ours.change(&a, Op::Delete, Precondition::Version(seen));
    ensure!(
        is(&answer, ErrorKind::Conflict),
        "a deletion under a stale version: {}",
        became(&answer)
    );
    ensure!(
        theirs.holds(&a, &value("2"))?,
        "what was written meanwhile is lost"
    );
    let now = ours.version(&a)?;
    ours.change(&a, Op::Delete, Precondition::Version(now))?;
    ensure!(
        theirs.lacks(&a)?,
        "a deletion under the present version did nothing"
    );
    Ok(())
}

pub(super) fn a_guard_that_is_not_declared_is_refused(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    store.put(&a, &value("1"))?;
    let version = || store.version(&a).unwrap_or_else(|_| Version::new("1"));
    let mut denied = Vec::new();
    if !stage.guards(Guard::CreateOnly) {
        denied.push(("that the name is new", name("NEW"), Precondition::Absent));
        denied.push(("that a name there is new", a.clone(), Precondition::Absent));
    }
    if !stage.guards(Guard::Cooperative) {
        let stale = Precondition::Version(Version::new("no-such-version"));
        denied.push((
            "the present version",
            a.clone(),
            Precondition::Version(version()),
        ));
        denied.push(("another version", a.clone(), stale));
    }
    for (what, name, when) in denied {
        for op in [Op::Put(&SecretValue::from_slice(&value("2"))), Op::Delete] {
            let answer = store.change(&name, op, when.clone());
            ensure!(
                is(&answer, ErrorKind::Unsupported),
                "a change on condition of {what}, where {:?} is declared: {}",
                stage.can.guard,
                became(&answer)
            );
        }
    }
    ensure!(
        stage.open().holds(&a, &value("1"))?,
        "a refused change was made"
    );
    ensure!(
        stage.open().lacks(&name("NEW"))?,
        "a refused change was made"
    );
    Ok(())
}

pub(super) fn versions_tell_states_apart(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    let mut seen: Vec<Version> = Vec::new();
    for step in 0..5 {
        let told = store.put(&a, &value(&step.to_string()))?;
        let read = stage.open().version(&a)?;
        ensure!(
            told.is_none_or(|told| told == read),
            "a write tells another version than a read"
        );
        let listed = store.list()?.into_iter().find(|(name, _)| *name == a);
        let listed = listed.and_then(|(_, meta)| meta.version);
        ensure!(
            listed.is_none_or(|listed| listed == read),
            "a list tells another version than a read"
        );
        ensure!(!seen.contains(&read), "two states have one version");
        seen.push(read);
    }
    Ok(())
}

pub(super) fn a_version_is_no_plain_hash_of_the_value(stage: &Stage<'_>) -> Outcome {
    let bytes = value("hashed");
    stage.plant(&[("A", &bytes)])?;
    let store = stage.open();
    let snapshot = store.read(Select::Names(&[name("A")]))?;
    let mut told = vec![snapshot.revision.map(|revision| revision.to_string())];
    for (_, lookup) in snapshot.items {
        let meta = lookup?.into_found().map(|stored| stored.meta);
        told.push(meta.and_then(|meta| Some(meta.version?.to_string())));
    }
    let digests = [
        Sha256::digest(&bytes).to_vec(),
        Sha512::digest(&bytes).to_vec(),
    ];
    for text in told.into_iter().flatten() {
        for digest in &digests {
            let head = &digest[..6];
            let hex: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
            let forms = [hex, STANDARD.encode(head), URL_SAFE.encode(head)];
            let found = forms
                .iter()
                .any(|form| text.to_lowercase().contains(&form.to_lowercase()));
            ensure!(
                !found,
                "anyone can test a guess of the value against its version"
            );
        }
    }
    Ok(())
}

pub(super) fn a_refusal_says_where_and_reads_well(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    store.put(&a, &value("1"))?;
    let put = |when| store.put_when(&a, &value("2"), when);
    let mut answers: Vec<Result<Option<Version>>> = vec![
        put(Precondition::Absent),
        put(Precondition::Version(Version::new("no-such-version"))),
        twice(&store, &a),
    ];
    if !stage.can.history {
        answers.push(store.history(&a).map(|_| None));
    }
    for error in answers.into_iter().filter_map(Result::err) {
        let kind = error.kind();
        ensure!(
            error.store().is_some(),
            "an error of kind {kind:?} names no store"
        );
        let message = error.message();
        ensure!(
            !message.is_empty() && !message.ends_with('.') && !message.contains(['\n', '\r']),
            "the message of an error of kind {kind:?} is not one line without a full stop"
        );
    }
    Ok(())
}

fn twice(store: &crate::stage::Handle, name: &Name) -> Result<Option<Version>> {
    let change = secrets_api::Change {
        name,
        op: Op::Delete,
        when: Precondition::Unguarded,
    };
    store.write(None, &[change.clone(), change]).map(|_| None)
}
