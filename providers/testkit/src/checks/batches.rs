//! Batches: one fate in a document, one fate a change elsewhere; and the revision of the whole.

use secrets_api::{
    Change, ErrorKind, Name, Op, Precondition, Revision, SecretValue, Select, Version,
};

use crate::stage::{Outcome, Stage, became, ensure, is, name, value};

fn change<'a>(name: &'a Name, op: Op<'a>, when: Precondition) -> Change<'a> {
    Change { name, op, when }
}

fn free<'a>(name: &'a Name, op: Op<'a>) -> Change<'a> {
    change(name, op, Precondition::Unguarded)
}

pub(super) fn changes_are_answered_in_order_and_number(stage: &Stage<'_>) -> Outcome {
    let names: Vec<Name> = ["D", "A", "E", "B", "C"].into_iter().map(name).collect();
    let store = stage.open();
    store.put(&names[2], &value("to be deleted"))?;
    let values: Vec<_> = names
        .iter()
        .map(|name| SecretValue::from_slice(&value(name.as_str())))
        .collect();
    let changes: Vec<_> = names
        .iter()
        .zip(&values)
        .map(|(name, value)| match name.as_str() {
            "E" => free(name, Op::Delete),
            _ => free(name, Op::Put(value)),
        })
        .collect();
    let written = store.write(None, &changes)?;
    ensure!(
        written.items.len() == changes.len(),
        "{} changes are answered by {} items",
        changes.len(),
        written.items.len()
    );
    let reader = stage.open();
    for (name, item) in names.iter().zip(written.items) {
        let told = item?;
        if name.as_str() == "E" {
            ensure!(told.is_none(), "a deletion is answered with a version");
            ensure!(reader.lacks(name)?, "a deletion within a batch did nothing");
            continue;
        }
        ensure!(
            reader.holds(name, &value(name.as_str()))?,
            "{name} holds another value"
        );
        let read = reader
            .look(name)?
            .into_found()
            .and_then(|stored| stored.meta.version);
        ensure!(
            told.is_none() || told == read,
            "{name} is answered with another version than it has"
        );
    }
    Ok(())
}

pub(super) fn a_failed_precondition_fails_the_whole_document(stage: &Stage<'_>) -> Outcome {
    let (a, b, c, d) = (name("A"), name("B"), name("C"), name("D"));
    let store = stage.open();
    for (name, text) in [(&a, "a"), (&b, "b"), (&d, "d")] {
        store.put(name, &value(text))?;
    }
    let before = store.revision()?;
    let new = SecretValue::from_slice(&value("new"));
    let mut failing = vec![Precondition::Absent];
    if stage.guards(secrets_api::Guard::Cooperative) {
        failing.push(Precondition::Version(Version::new("no-such-version")));
    }
    for when in failing {
        let batch = [
            free(&a, Op::Put(&new)),
            change(&b, Op::Put(&new), when),
            free(&c, Op::Put(&new)),
            free(&d, Op::Delete),
        ];
        let answer = store.write(None, &batch);
        ensure!(
            is(&answer, ErrorKind::Conflict),
            "a batch with a precondition that does not hold: {}",
            became(&answer)
        );
        let about = answer.err().and_then(|error| error.name().cloned());
        ensure!(
            about == Some(b.clone()),
            "the conflict is said to be about {about:?}"
        );
        let reader = stage.open();
        for (name, text) in [(&a, "a"), (&b, "b"), (&d, "d")] {
            ensure!(
                reader.holds(name, &value(text))?,
                "{name} was changed all the same"
            );
        }
        ensure!(reader.lacks(&c)?, "a name was added all the same");
        ensure!(reader.revision()? == before, "the revision moved");
    }
    Ok(())
}

pub(super) fn a_failed_precondition_fails_its_own_change_alone(stage: &Stage<'_>) -> Outcome {
    let (a, b, c) = (name("A"), name("B"), name("C"));
    let store = stage.open();
    store.put(&b, &value("b"))?;
    let new = SecretValue::from_slice(&value("new"));
    let batch = [
        change(&a, Op::Put(&new), Precondition::Absent),
        change(&b, Op::Put(&new), Precondition::Absent),
        change(&c, Op::Put(&new), Precondition::Absent),
    ];
    let written = store.write(None, &batch)?;
    ensure!(
        written.items.len() == 3,
        "3 changes are answered by {}",
        written.items.len()
    );
    ensure!(
        written.items[0].is_ok(),
        "the first change: {}",
        became(&written.items[0])
    );
    ensure!(
        is(&written.items[1], ErrorKind::Conflict),
        "the change whose precondition does not hold: {}",
        became(&written.items[1])
    );
    ensure!(
        written.items[2].is_ok(),
        "the last change: {}",
        became(&written.items[2])
    );
    let reader = stage.open();
    ensure!(
        reader.holds(&b, &value("b"))?,
        "the refused change was made"
    );
    for name in [&a, &c] {
        ensure!(reader.holds(name, new.expose())?, "{name} was not written");
    }
    Ok(())
}

pub(super) fn a_stale_base_is_a_conflict(stage: &Stage<'_>) -> Outcome {
    let (a, b) = (name("A"), name("B"));
    let (ours, theirs) = (stage.open(), stage.open());
    // The state of a place where nothing was ever written is a state too.
    let empty = ours.revision()?;
    let value_of = |text: &str| SecretValue::from_slice(&value(text));
    let (one, two, three) = (value_of("1"), value_of("2"), value_of("3"));
    let put = |base: &Revision, value| ours.write(Some(base), &[free(&a, Op::Put(value))]);

    let first = put(&empty, &one)?.revision;
    ensure!(first.is_some(), "a write tells no revision");
    ensure!(
        first.as_ref() == Some(&theirs.revision()?),
        "a write tells another revision than a read"
    );
    theirs.put(&b, &value("theirs"))?;
    let made_up = Revision::new("no-such-revision");
    for stale in [Some(empty), first, Some(made_up)].into_iter().flatten() {
        let answer = put(&stale, &two);
        ensure!(
            is(&answer, ErrorKind::Conflict),
            "a write under a stale revision: {}",
            became(&answer)
        );
    }
    ensure!(theirs.holds(&a, one.expose())?, "a refused write was made");
    ensure!(
        theirs.holds(&b, &value("theirs"))?,
        "what was written meanwhile is lost"
    );
    let now = ours.revision()?;
    for item in put(&now, &three)?.items {
        item?;
    }
    ensure!(
        theirs.holds(&a, three.expose())?,
        "a write under the present revision is lost"
    );
    Ok(())
}

pub(super) fn a_base_is_refused_where_it_cannot_guard(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    store.put(&a, &value("1"))?;
    let new = SecretValue::from_slice(&value("2"));
    let present = store.read(Select::All)?.revision;
    for base in [Some(Revision::new("no-such-revision")), present]
        .into_iter()
        .flatten()
    {
        let answer = store.write(Some(&base), &[free(&a, Op::Put(&new))]);
        ensure!(
            is(&answer, ErrorKind::Unsupported),
            "a write under a revision: {}",
            became(&answer)
        );
    }
    ensure!(
        stage.open().holds(&a, &value("1"))?,
        "the refused write was made"
    );
    Ok(())
}

pub(super) fn a_revision_names_one_state_of_the_document(stage: &Stage<'_>) -> Outcome {
    let (ours, theirs) = (stage.open(), stage.open());
    if !stage.is_document() {
        stage.plant(&[("A", &value("a"))])?;
        let told = ours.read(Select::All)?.revision;
        ensure!(told.is_none(), "a store without documents tells a revision");
        return Ok(());
    }
    if !stage.can.writable {
        stage.plant(&[("A", &value("a"))])?;
        let same = ours.revision()? == theirs.revision()?;
        ensure!(same, "two handles tell two revisions");
        return Ok(());
    }
    let a = name("A");
    let mut seen: Vec<Revision> = vec![ours.revision()?];
    for step in 0..6 {
        match step {
            2 => ours.delete(&a)?,
            4 => ours.put(&name("B"), &value("b"))?,
            _ => ours.put(&a, &value(&step.to_string()))?,
        };
        let now = ours.revision()?;
        ensure!(theirs.revision()? == now, "two handles tell two revisions");
        let some = ours.read(Select::Names(std::slice::from_ref(&a)))?.revision;
        ensure!(
            some == Some(now.clone()),
            "a read of one name tells another revision"
        );
        ensure!(
            seen.last() != Some(&now),
            "a change did not move the revision"
        );
        seen.push(now);
    }
    Ok(())
}

pub(super) fn a_name_twice_in_one_batch_is_refused(stage: &Stage<'_>) -> Outcome {
    let (a, b) = (name("A"), name("B"));
    let store = stage.open();
    store.put(&a, &value("1"))?;
    let new = SecretValue::from_slice(&value("2"));
    for last in [Op::Put(&new), Op::Delete] {
        let batch = [
            free(&b, Op::Put(&new)),
            free(&a, Op::Put(&new)),
            free(&a, last),
        ];
        let answer = store.write(None, &batch);
        ensure!(
            is(&answer, ErrorKind::InvalidConfig),
            "a batch that changes a name twice: {}",
            became(&answer)
        );
    }
    let reader = stage.open();
    ensure!(
        reader.holds(&a, &value("1"))? && reader.lacks(&b)?,
        "a part of it was written"
    );
    Ok(())
}

pub(super) fn an_empty_batch_changes_nothing(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    let nothing = store.write(None, &[])?;
    ensure!(
        nothing.items.is_empty(),
        "an empty batch is answered by items"
    );
    store.put(&a, &value("1"))?;
    let before = store.read(Select::All)?.revision;
    let told = store.write(None, &[])?.revision;
    ensure!(
        told.is_none() || told == before,
        "it tells another revision"
    );
    ensure!(
        stage.open().read(Select::All)?.revision == before,
        "the revision moved"
    );
    ensure!(stage.open().holds(&a, &value("1"))?, "a value changed");
    Ok(())
}

pub(super) fn a_write_keeps_what_it_does_not_name(stage: &Stage<'_>) -> Outcome {
    let names: Vec<Name> = (0..20).map(|n| name(&format!("N{n}"))).collect();
    let store = stage.open();
    for name in &names {
        store.put(name, &value(name.as_str()))?;
    }
    store.put(&names[3], &value("new"))?;
    store.delete(&names[7])?;
    store.put(&name("NEW"), &value("new"))?;
    let reader = stage.open();
    for (n, name) in names.iter().enumerate() {
        let expected = match n {
            3 => Some(value("new")),
            7 => None,
            _ => Some(value(name.as_str())),
        };
        let found = reader.look(name)?.into_found();
        ensure!(
            found.as_ref().map(|stored| stored.value.expose()) == expected.as_deref(),
            "{name} holds another value"
        );
    }
    ensure!(
        reader.list()?.len() == names.len(),
        "another number of names is listed"
    );
    Ok(())
}
