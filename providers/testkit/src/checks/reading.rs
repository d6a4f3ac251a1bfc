//! What is read: absence, order, number, names.

use std::collections::BTreeSet;

use secrets_api::{ErrorKind, Lookup, Name, Op, Precondition, SecretValue, Select, StoreUri};

use crate::stage::{Outcome, Stage, became, ensure, is, name, value};

pub(super) fn a_store_says_what_and_where_it_is(stage: &Stage<'_>) -> Outcome {
    let store = stage.open();
    let parsed = StoreUri::parse(store.location());
    ensure!(parsed.is_ok(), "the location is no store URI");
    ensure!(
        stage.open().location() == store.location(),
        "two handles on one place tell two locations"
    );
    ensure!(
        store.provider().capabilities() == stage.can,
        "two handles on one place tell two capabilities"
    );
    ensure!(stage.can.limits.concurrency > 0, "no request may be made");
    let rare = (store.provider().leasing(), store.provider().staging());
    ensure!(
        matches!(rare, (None, None)),
        "it claims leases or stages, and no check of them exists"
    );
    store.inspect()?;
    stage.plant(&[("A", &value("inspected"))])?;
    store.inspect()?;
    stage.open().inspect()?;
    Ok(())
}

pub(super) fn what_was_never_there_is_absent(stage: &Stage<'_>) -> Outcome {
    let names = [name("NEVER"), name("WAS")];
    let absent = |when: &str| {
        let store = stage.open();
        for (name, lookup) in store.read(Select::Names(&names))?.items {
            ensure!(
                matches!(lookup?, Lookup::Absent),
                "{name} is not absent {when}"
            );
        }
        Ok(())
    };
    absent("in an empty place")?;
    let store = stage.open();
    ensure!(store.list()?.is_empty(), "an empty place lists names");
    ensure!(
        store.read(Select::All)?.items.is_empty(),
        "an empty place has items"
    );
    stage.plant(&[("OTHER", &value("other"))])?;
    absent("beside another")
}

pub(super) fn a_read_answers_in_the_order_and_number_asked(stage: &Stage<'_>) -> Outcome {
    let planted = ["D", "A", "C", "E", "B"];
    let values: Vec<_> = planted.iter().map(|text| value(text)).collect();
    let items: Vec<_> = planted
        .iter()
        .copied()
        .zip(values.iter().map(Vec::as_slice))
        .collect();
    stage.plant(&items)?;
    let store = stage.open();
    for asked in [
        &["A", "B", "C", "D", "E"][..],
        &["E", "NOT_1", "A", "D", "NOT_2"],
        &["B", "A", "B"],
        &["C"],
        &[],
    ] {
        let names: Vec<Name> = asked.iter().map(|text| name(text)).collect();
        let answered = store.read(Select::Names(&names))?.items;
        let told: Vec<&Name> = answered.iter().map(|(name, _)| name).collect();
        ensure!(
            told.iter().copied().eq(&names),
            "asked for {names:?}, answered for {told:?}"
        );
        for (name, lookup) in &answered {
            let lookup = lookup.as_ref();
            let found = lookup.map_or(None, Lookup::found);
            let expected = planted
                .contains(&name.as_str())
                .then(|| value(name.as_str()));
            ensure!(
                found.map(|stored| stored.value.expose()) == expected.as_deref(),
                "{name} is answered with something else, asked for {names:?}"
            );
        }
    }
    Ok(())
}

pub(super) fn all_that_is_there_is_read_and_listed_once(stage: &Stage<'_>) -> Outcome {
    let planted = ["Z", "A", "M_1", "_x"];
    let values: Vec<_> = planted.iter().map(|text| value(text)).collect();
    let items: Vec<_> = planted
        .iter()
        .copied()
        .zip(values.iter().map(Vec::as_slice))
        .collect();
    stage.plant(&items)?;
    let store = stage.open();
    let expected: BTreeSet<Name> = planted.iter().map(|text| name(text)).collect();

    let snapshot = store.read(Select::All)?;
    for (name, lookup) in &snapshot.items {
        let stored = lookup.as_ref().map_or(None, Lookup::found);
        ensure!(
            stored.is_some_and(|stored| stored.value.expose() == value(name.as_str())),
            "a read of all does not hold {name}'s value"
        );
        ensure!(
            stored.is_some_and(|stored| !stored.meta.deleted),
            "{name} is said to be deleted"
        );
    }
    let mut lists = vec![(
        "a read of all",
        snapshot.items.into_iter().map(|i| i.0).collect::<Vec<_>>(),
    )];
    lists.push(("a list", store.list()?.into_iter().map(|i| i.0).collect()));
    for (what, told) in lists {
        ensure!(
            told.len() == expected.len(),
            "{what} tells {} names of {}",
            told.len(),
            expected.len()
        );
        let told: BTreeSet<Name> = told.into_iter().collect();
        ensure!(told == expected, "{what} tells {told:?}");
    }
    Ok(())
}

pub(super) fn odd_names_are_names_like_others(stage: &Stage<'_>) -> Outcome {
    let most = stage.can.limits.name_bytes.unwrap_or(Name::MAX_BYTES);
    let long = "L".repeat(most);
    let almost = "l".repeat(most - 1);
    let names = [
        "_", "__", "_0", "a", "A", "aB", "Ab", "export", "null", "true", "PATH", "IFS", "CON",
        "version", "secrets", "data", &almost, &long,
    ];
    let values: Vec<_> = (0..names.len()).map(|n| value(&n.to_string())).collect();
    let items: Vec<_> = names
        .iter()
        .copied()
        .zip(values.iter().map(Vec::as_slice))
        .collect();
    stage.plant(&items)?;
    let store = stage.open();
    for (text, bytes) in &items {
        ensure!(
            store.holds(&name(text), bytes)?,
            "{text} does not hold what was stored under it"
        );
    }
    ensure!(store.list()?.len() == names.len(), "some are not listed");
    Ok(())
}

pub(super) fn a_name_over_the_limit_is_refused(stage: &Stage<'_>) -> Outcome {
    let most = stage.can.limits.name_bytes.unwrap_or(Name::MAX_BYTES);
    let long = name(&"L".repeat(most + 1));
    let store = stage.open();
    let answer = store.put(&long, &value("x"));
    ensure!(
        is(&answer, ErrorKind::Unsupported),
        "a name over the limit: {}",
        became(&answer)
    );
    ensure!(store.list()?.is_empty(), "it was refused and written");
    ensure!(store.lacks(&long)?, "a read of it is no absence");
    Ok(())
}

pub(super) fn reading_changes_nothing(stage: &Stage<'_>) -> Outcome {
    stage.plant(&[("A", &value("a")), ("B", &value("b"))])?;
    let store = stage.open();
    let state = || -> Outcome<_> {
        let snapshot = store.read(Select::All)?;
        let mut versions = Vec::new();
        for (name, lookup) in snapshot.items {
            versions.push((name, lookup?.into_found().map(|stored| stored.meta)));
        }
        versions.sort_by(|a, b| a.0.cmp(&b.0));
        Ok((snapshot.revision, versions))
    };
    let before = state()?;
    let other = stage.open();
    other.list()?;
    other.inspect()?;
    other.read(Select::Names(&[name("A"), name("NONE")]))?;
    if stage.can.history {
        other.history(&name("A"))?;
    }
    if stage.can.cheap_poll {
        other.poll(None)?;
    }
    ensure!(state()? == before, "a version or revision moved by reading");
    Ok(())
}

pub(super) fn a_read_only_store_refuses_every_write(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    stage.plant(&[("A", &value("a"))])?;
    let store = stage.open();
    let new = SecretValue::from_slice(&value("new"));
    for (what, name, op) in [
        ("replacing", &a, Op::Put(&new)),
        ("adding", &name("B"), Op::Put(&new)),
        ("deleting", &a, Op::Delete),
        ("restoring", &a, Op::Restore),
    ] {
        let answer = store.change(name, op, Precondition::Unguarded);
        ensure!(
            is(&answer, ErrorKind::Unsupported),
            "{what} in a read-only store: {}",
            became(&answer)
        );
    }
    let reader = stage.open();
    ensure!(reader.holds(&a, &value("a"))?, "a value has changed");
    ensure!(reader.list()?.len() == 1, "the names have changed");
    Ok(())
}
