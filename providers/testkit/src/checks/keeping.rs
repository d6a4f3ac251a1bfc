//! What a store remembers: earlier states, operations it has carried out, where a poll left off.

use secrets_api::{
    Change, ErrorKind, Lookup, Meta, Name, Op, Precondition, Result, SecretValue, Version,
};

use crate::stage::{Outcome, Stage, became, ensure, is, name, operation, value};

/// Three states and then a deletion; the values, oldest first.
fn lived(stage: &Stage<'_>, name: &Name) -> Outcome<Vec<Vec<u8>>> {
    let store = stage.open();
    let values: Vec<_> = ["first", "second", "third"]
        .into_iter()
        .map(value)
        .collect();
    for bytes in &values {
        store.put(name, bytes)?;
    }
    Ok(values)
}

fn versions(history: &[Meta]) -> Vec<&Version> {
    let states = history.iter().filter(|meta| !meta.deleted);
    states.filter_map(|meta| meta.version.as_ref()).collect()
}

pub(super) fn a_history_tells_every_state_newest_first(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    ensure!(
        store.history(&a)?.is_empty(),
        "what never was has a history"
    );
    lived(stage, &a)?;
    store.put(&name("B"), &value("b"))?;
    let history = stage.open().history(&a)?;
    let told = versions(&history);
    ensure!(
        told.len() == 3,
        "3 states and {} in the history",
        told.len()
    );
    ensure!(
        *told[0] == store.version(&a)?,
        "the first is not the present state"
    );
    ensure!(
        told[0] != told[1] && told[1] != told[2] && told[0] != told[2],
        "two states have one version"
    );
    let times: Vec<_> = history.iter().filter_map(|meta| meta.modified).collect();
    ensure!(
        times.is_sorted_by(|a, b| a >= b),
        "the times are not newest first"
    );
    store.delete(&a)?;
    let after = stage.open().history(&a)?;
    if versions(&after) == told {
        return Ok(());
    }
    // Some services show nothing of what is deleted until it is restored.
    ensure!(
        stage.can.restore && !stage.is_document() && versions(&after).is_empty(),
        "a deletion changed what was before it"
    );
    store.change(&a, Op::Restore, Precondition::Unguarded)?;
    let back = stage.open().history(&a)?;
    ensure!(
        versions(&back).ends_with(&told),
        "a deletion that was taken back changed what was before it"
    );
    Ok(())
}

pub(super) fn every_state_of_the_history_is_read_back(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let values = lived(stage, &a)?;
    let store = stage.open();
    let history = store.history(&a)?;
    let told = versions(&history);
    ensure!(
        told.len() == values.len(),
        "3 states and {} in the history",
        told.len()
    );
    for (n, (version, bytes)) in told.iter().zip(values.iter().rev()).enumerate() {
        let stored = store.read_version(&a, version)?.into_found();
        ensure!(
            stored.is_some_and(|stored| stored.value.expose() == bytes),
            "state {n} from the newest is not its own value"
        );
    }
    store.delete(&a)?;
    // Some services show nothing of what is deleted until it is restored: they say so.
    for (n, (version, bytes)) in told.iter().zip(values.iter().rev()).enumerate() {
        let held_back = match store.read_version(&a, version)? {
            Lookup::Found(stored) => stored.value.expose() != bytes,
            Lookup::Deleted { .. } => !stage.can.restore || stage.is_document(),
            Lookup::Absent => true,
        };
        ensure!(
            !held_back,
            "after a deletion state {n} from the newest is neither its own value nor said to be deleted"
        );
    }
    let history = store.history(&a)?;
    for meta in history.iter().filter(|meta| meta.deleted) {
        let Some(version) = &meta.version else {
            continue;
        };
        let lookup = store.read_version(&a, version);
        let found = lookup.is_ok_and(|lookup| lookup.found().is_some());
        ensure!(!found, "a deletion has a value");
    }
    for (name, version) in [
        (&a, Version::new("no-such-version")),
        (&name("B"), told[0].clone()),
    ] {
        let lookup = store.read_version(name, &version);
        let found = lookup.is_ok_and(|lookup| lookup.found().is_some());
        ensure!(!found, "a version that never was has a value");
    }
    Ok(())
}

pub(super) fn pruning_forgets_all_but_the_newest_states(stage: &Stage<'_>) -> Outcome {
    let (a, b) = (name("A"), name("B"));
    let values = lived(stage, &a)?;
    let store = stage.open();
    store.put(&b, &value("1"))?;
    store.put(&b, &value("2"))?;
    let history = store.history(&a)?;
    let told = versions(&history);
    ensure!(store.prune(&a, 2)? == 1, "not one of three states went");
    ensure!(store.prune(&a, 2)? == 0, "a second time forgot more");
    let left = stage.open().history(&a)?;
    ensure!(
        versions(&left) == told[..2],
        "other states than the newest are left"
    );
    // What is in use stays, whatever is asked.
    ensure!(store.prune(&a, 0)? == 1, "not one of two states went");
    let kept = stage.open().read_version(&a, told[0])?.into_found();
    ensure!(
        kept.is_some_and(|stored| Some(stored.value.expose()) == values.last().map(Vec::as_slice)),
        "the present state is gone"
    );
    for version in &told[1..] {
        let lookup = stage.open().read_version(&a, version);
        let found = lookup.is_ok_and(|lookup| lookup.found().is_some());
        ensure!(!found, "a state that was forgotten has a value");
    }
    ensure!(
        store.history(&b)?.len() == 2,
        "another secret lost its history"
    );
    ensure!(
        store.prune(&name("NEVER"), 1)? == 0,
        "what never was had states"
    );
    Ok(())
}

pub(super) fn a_history_that_is_not_declared_is_refused(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    stage.plant(&[("A", &value("a"))])?;
    let store = stage.open();
    let version = store.version(&a).unwrap_or_else(|_| Version::new("1"));
    let history = store.history(&a);
    ensure!(
        is(&history, ErrorKind::Unsupported),
        "asking for a history: {}",
        became(&history)
    );
    let earlier = store.read_version(&a, &version);
    ensure!(
        is(&earlier, ErrorKind::Unsupported),
        "reading a version: {}",
        became(&earlier)
    );
    Ok(())
}

pub(super) fn pruning_that_is_not_declared_is_refused(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    stage.plant(&[("A", &value("a"))])?;
    let pruned = stage.open().prune(&a, 1);
    ensure!(
        is(&pruned, ErrorKind::Unsupported),
        "pruning: {}",
        became(&pruned)
    );
    Ok(())
}

pub(super) fn an_operation_repeated_takes_effect_once(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let (first, second) = (operation(), operation());
    let store = stage.open();
    let one = SecretValue::from_slice(&value("1"));
    let two = SecretValue::from_slice(&value("2"));
    let change = |op| Change {
        name: &a,
        op,
        when: Precondition::Unguarded,
    };
    let told = store.change_as(&first, change(Op::Put(&one)))?;
    let again = store.change_as(&first, change(Op::Put(&one)))?;
    ensure!(
        told == again,
        "a repetition is answered with another version"
    );
    let elsewhere = stage.open().change_as(&first, change(Op::Put(&one)))?;
    ensure!(
        told == elsewhere,
        "a repetition by another handle is answered with another version"
    );
    if stage.can.history {
        let states = store.history(&a)?.len();
        ensure!(
            states == 1,
            "a repetition made a state: {states} in the history"
        );
    }
    store.change_as(&second, change(Op::Put(&two)))?;
    let late = store.change_as(&first, change(Op::Put(&one)))?;
    ensure!(
        told == late,
        "a late repetition is answered with another version"
    );
    ensure!(
        stage.open().holds(&a, two.expose())?,
        "a late repetition undid what was written since"
    );
    let deletion = operation();
    store.change_as(&deletion, change(Op::Delete))?;
    store.put(&a, &value("3"))?;
    store.change_as(&deletion, change(Op::Delete))?;
    ensure!(
        stage.open().holds(&a, &value("3"))?,
        "a late repetition of a deletion deleted what was written since"
    );
    Ok(())
}

pub(super) fn a_guarded_operation_repeated_is_no_conflict(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    let one = SecretValue::from_slice(&value("1"));
    let two = SecretValue::from_slice(&value("2"));
    let repeat = |op, when: Precondition| -> Outcome {
        let cx = operation();
        let change = Change { name: &a, op, when };
        let told = store.change_as(&cx, change.clone())?;
        let again: Result<_> = stage.open().change_as(&cx, change);
        ensure!(again.is_ok(), "a repetition: {}", became(&again));
        ensure!(
            told == again?,
            "a repetition is answered with another version"
        );
        Ok(())
    };
    repeat(Op::Put(&one), Precondition::Absent)?;
    repeat(Op::Put(&two), Precondition::Version(store.version(&a)?))?;
    repeat(Op::Delete, Precondition::Version(store.version(&a)?))?;
    ensure!(stage.open().lacks(&a)?, "the last change is not there");
    Ok(())
}

pub(super) fn a_batch_repeated_under_its_base_is_no_conflict(stage: &Stage<'_>) -> Outcome {
    let (a, b) = (name("A"), name("B"));
    let store = stage.open();
    let base = store.revision()?;
    let one = SecretValue::from_slice(&value("1"));
    let put = |name| Change {
        name,
        op: Op::Put(&one),
        when: Precondition::Absent,
    };
    let (cx, batch) = (operation(), [put(&a), put(&b)]);
    let told = store.write_as(&cx, Some(&base), &batch)?;
    let again = stage.open().write_as(&cx, Some(&base), &batch);
    ensure!(again.is_ok(), "a repetition: {}", became(&again));
    let again = again?;
    ensure!(
        again.items.len() == 2,
        "2 changes are answered by {}",
        again.items.len()
    );
    for (told, again) in told.items.into_iter().zip(again.items) {
        ensure!(
            told? == again?,
            "a repetition is answered with another version"
        );
    }
    // A later revision would vouch for changes that the caller has never seen.
    stage.open().put(&b, &value("theirs"))?;
    let theirs = store.revision()?;
    let late = store.write_as(&cx, Some(&base), &batch)?;
    ensure!(
        late.revision != Some(theirs),
        "a late repetition is answered with a revision that holds others' changes"
    );
    ensure!(
        stage.open().holds(&b, &value("theirs"))?,
        "a late repetition undid what was written since"
    );
    Ok(())
}

pub(super) fn another_operation_is_not_taken_for_a_repetition(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    for text in ["1", "2", "1"] {
        store.put(&a, &value(text))?;
        ensure!(
            stage.open().holds(&a, &value(text))?,
            "a write under a new operation did nothing"
        );
    }
    // One operation may be sent in parts: it is the pair of operation and name that is repeated.
    let cx = operation();
    let one = SecretValue::from_slice(&value("part"));
    for text in ["B", "C"] {
        let change = Change {
            name: &name(text),
            op: Op::Put(&one),
            when: Precondition::Unguarded,
        };
        store.change_as(&cx, change)?;
        ensure!(
            stage.open().holds(&name(text), one.expose())?,
            "{text}, written under the same operation, is missing"
        );
    }
    Ok(())
}

pub(super) fn a_repetition_that_is_not_declared_is_a_new_write(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let (cx, one) = (operation(), SecretValue::from_slice(&value("1")));
    let change = Change {
        name: &a,
        op: Op::Put(&one),
        when: Precondition::Absent,
    };
    let store = stage.open();
    store.change_as(&cx, change.clone())?;
    let again = store.change_as(&cx, change);
    ensure!(
        is(&again, ErrorKind::Conflict),
        "a repetition, where none is declared to be known: {}",
        became(&again)
    );
    Ok(())
}

pub(super) fn a_poll_tells_of_every_change(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let (ours, theirs) = (stage.open(), stage.open());
    let mut cursor = ours.poll(None)?.cursor;
    if !stage.can.writable {
        ensure!(
            !ours.poll(Some(&cursor))?.changed,
            "a change is told where there was none"
        );
        return Ok(());
    }
    for step in 0..4 {
        let still = ours.poll(Some(&cursor))?;
        ensure!(!still.changed, "a change is told where there was none");
        match step {
            0 => theirs.put(&a, &value("1"))?,
            1 => theirs.put(&a, &value("2"))?,
            2 => theirs.put(&name("B"), &value("b"))?,
            _ => theirs.delete(&a)?,
        };
        let moved = ours.poll(Some(&still.cursor))?;
        ensure!(moved.changed, "change {step} is not told");
        cursor = moved.cursor;
    }
    let lookup = ours.look(&a)?;
    ensure!(
        !matches!(lookup, Lookup::Found(_)),
        "what was deleted is read"
    );
    Ok(())
}

pub(super) fn a_poll_that_is_not_declared_is_refused(stage: &Stage<'_>) -> Outcome {
    let poll = stage.open().poll(None);
    ensure!(
        is(&poll, ErrorKind::Unsupported),
        "a poll: {}",
        became(&poll)
    );
    Ok(())
}
