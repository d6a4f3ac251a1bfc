//! Deletion: what it leaves, how it is told from absence, and how it is taken back.

use secrets_api::{ErrorKind, Guard, Lookup, Op, Precondition, Select};

use crate::stage::{Outcome, Stage, became, ensure, is, name, value};

pub(super) fn a_deleted_secret_is_gone(stage: &Stage<'_>) -> Outcome {
    let (a, b) = (name("A"), name("B"));
    let early = stage.open();
    early.put(&a, &value("a"))?;
    early.put(&b, &value("b"))?;
    let told = early.delete(&a)?;
    ensure!(told.is_none(), "a deletion is answered with a version");
    for reader in [&early, &stage.open()] {
        ensure!(reader.lacks(&a)?, "it is still read");
        let listed = reader
            .list()?
            .into_iter()
            .any(|(name, meta)| name == a && !meta.deleted);
        ensure!(!listed, "it is still listed");
        for (name, lookup) in reader.read(Select::All)?.items {
            let lookup = lookup?;
            ensure!(
                !matches!(lookup, Lookup::Absent),
                "a read of all tells what is absent"
            );
            ensure!(
                name != a || lookup.found().is_none(),
                "it is still among all"
            );
        }
        ensure!(reader.holds(&b, &value("b"))?, "another was deleted too");
    }
    // Removing what is not there is no error.
    let again = early.delete(&a)?;
    ensure!(
        again.is_none(),
        "a second deletion is answered with a version"
    );
    early.delete(&name("NEVER"))?;
    let never = early.look(&name("NEVER"))?;
    ensure!(
        matches!(never, Lookup::Absent),
        "deleting what never was leaves a trace"
    );
    early.put(&a, &value("back"))?;
    ensure!(
        stage.open().holds(&a, &value("back"))?,
        "it cannot be written again"
    );
    Ok(())
}

pub(super) fn a_deletion_is_told_from_absence_where_declared(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    store.put(&a, &value("a"))?;
    store.delete(&a)?;
    let told = match stage.open().look(&a)? {
        Lookup::Found(_) => "found",
        Lookup::Absent => "absent",
        Lookup::Deleted { .. } => "deleted",
    };
    let expected = if stage.can.restore {
        "deleted"
    } else {
        "absent"
    };
    ensure!(
        told == expected,
        "what was deleted is said to be {told}, not {expected}"
    );
    Ok(())
}

pub(super) fn preconditions_hold_for_what_was_deleted(stage: &Stage<'_>) -> Outcome {
    let (a, b) = (name("A"), name("B"));
    let store = stage.open();
    for name in [&a, &b] {
        store.put(name, &value("1"))?;
    }
    let alive = store.version(&a)?;
    for name in [&a, &b] {
        store.delete(name)?;
    }
    let stale = store.put_when(&a, &value("2"), Precondition::Version(alive));
    ensure!(
        is(&stale, ErrorKind::Conflict),
        "a write under the version before the deletion: {}",
        became(&stale)
    );
    store.put_when(&a, &value("3"), Precondition::Absent)?;
    ensure!(
        stage.open().holds(&a, &value("3"))?,
        "what was deleted cannot be created"
    );
    if stage.can.restore {
        let deletion = store.version(&b)?;
        store.put_when(&b, &value("4"), Precondition::Version(deletion))?;
        ensure!(
            stage.open().holds(&b, &value("4"))?,
            "a write under the deletion's version is lost"
        );
    }
    Ok(())
}

pub(super) fn a_deleted_secret_is_restored_where_declared(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    store.put(&a, &value("older"))?;
    store.put(&a, &value("newer"))?;
    store.delete(&a)?;
    store.change(&a, Op::Restore, Precondition::Unguarded)?;
    ensure!(
        stage.open().holds(&a, &value("newer"))?,
        "the last value is not back"
    );
    let listed = stage
        .open()
        .list()?
        .iter()
        .any(|(name, meta)| *name == a && !meta.deleted);
    ensure!(listed, "what was restored is not listed");

    store.delete(&a)?;
    store.delete(&a)?;
    let when = if stage.guards(Guard::CreateOnly) {
        Precondition::Absent
    } else {
        Precondition::Unguarded
    };
    store.change(&a, Op::Restore, when)?;
    ensure!(
        stage.open().holds(&a, &value("newer"))?,
        "the last value is not back a second time"
    );

    let never = name("NEVER");
    let answer = store.change(&never, Op::Restore, Precondition::Unguarded);
    ensure!(answer.is_err(), "what never was is said to be restored");
    ensure!(
        stage.open().lacks(&never)?,
        "what never was is there after a restore"
    );
    Ok(())
}

pub(super) fn a_restore_that_is_not_declared_is_refused(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    store.put(&a, &value("a"))?;
    store.delete(&a)?;
    let answer = store.change(&a, Op::Restore, Precondition::Unguarded);
    ensure!(
        is(&answer, ErrorKind::Unsupported),
        "a restore: {}",
        became(&answer)
    );
    ensure!(stage.open().lacks(&a)?, "the refused restore was made");
    Ok(())
}
