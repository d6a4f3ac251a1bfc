//! What is remembered comes back whole, from either side, or not at all.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrets_api::{KeySource, SecretValue, Version};

use super::*;
use crate::plan::{Agreed, Fingerprint, Intent, Side};

const VALUE: &[u8] = b"canary-5c1f0b7e";

fn machine_key(byte: u8) -> KeySource {
    Arc::new(move || Ok(Arc::new(SecretValue::from_slice(&[byte; 32]))))
}

fn keys() -> Keys {
    Keys::new(&machine_key(7), "/srv/shop", "production").unwrap()
}

fn pair(left: &str, right: &str) -> Pair {
    Pair {
        project: "/srv/shop".into(),
        environment: "production".into(),
        stores: Sides {
            left: left.into(),
            right: right.into(),
        },
    }
}

fn here() -> Pair {
    pair("vault:secret/shop", "dotenv:/etc/shop/env")
}

fn there() -> Pair {
    pair("dotenv:/etc/shop/env", "vault:secret/shop")
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn print(text: &str) -> Fingerprint {
    keys().fingerprint(&name(text), &SecretValue::from_slice(VALUE))
}

fn memory(text: &str) -> Memory {
    Memory {
        agreed: Some(Agreed {
            fingerprint: print(text),
            versions: Sides {
                left: Some(Version::new("12")),
                right: None,
            },
            layers: Sides {
                left: Some(1),
                right: Some(0),
            },
        }),
        intent: None,
    }
}

fn intended(to: Side) -> Memory {
    Memory {
        intent: Some(Intent { to }),
        ..Memory::default()
    }
}

/// One of every kind of memory.
fn memories() -> Vec<(Name, Option<Memory>)> {
    let writing = Memory {
        intent: intended(Side::Left).intent,
        ..memory("WRITING")
    };
    let all = [
        ("AGREED", memory("AGREED")),
        ("WRITING", writing),
        ("FIRST", intended(Side::Right)),
        ("REMOVING", intended(Side::Right)),
    ];
    all.map(|(text, memory)| (name(text), Some(memory))).into()
}

fn base() -> Base {
    let all = memories().into_iter();
    all.filter_map(|(name, memory)| Some((name, memory?)))
        .collect()
}

fn mirrored(base: &Base) -> Base {
    let mirror = |memory: &Memory| Memory {
        agreed: memory.agreed.clone().map(|agreed| Agreed {
            versions: agreed.versions.swapped(),
            layers: agreed.layers.swapped(),
            ..agreed
        }),
        intent: memory.intent.map(|intent| Intent {
            to: intent.to.other(),
        }),
    };
    base.iter().map(|(n, m)| (n.clone(), mirror(m))).collect()
}

async fn take(state: &Path) -> Kept {
    Kept::take(state, here(), keys()).await.unwrap()
}

/// A state in which all of [`memories`] are kept, and the file's path.
async fn kept() -> (tempfile::TempDir, PathBuf) {
    let state = tempfile::tempdir().unwrap();
    take(state.path()).await.note(memories()).unwrap();
    let file = here().folder(state.path()).join("base.json");
    (state, file)
}

fn parse(bytes: &[u8]) -> std::result::Result<Base, Lost> {
    file::parse(bytes, &here(), &keys()).map(|(remembered, _)| remembered.base)
}

#[tokio::test]
async fn what_is_noted_comes_back_whichever_side_is_named_first() {
    let state = tempfile::tempdir().unwrap();
    for (noting, looking) in [(here(), there()), (there(), here())] {
        let mut kept = Kept::take(state.path(), noting.clone(), keys())
            .await
            .unwrap();
        kept.note(memories()).unwrap();
        assert_eq!((kept.base(), kept.lost()), (&base(), None));
        let same = Kept::peek(state.path(), noting, keys());
        assert_eq!((same.base(), same.lost()), (&base(), None));
        assert_eq!(same.saved(), kept.saved());
        let other = Kept::peek(state.path(), looking, keys());
        assert_eq!(other.base(), &mirrored(&base()));
        let removed = memories().into_iter().map(|(name, _)| (name, None));
        kept.note(removed.collect()).unwrap();
        drop(kept);
        let none = Kept::peek(state.path(), here(), keys());
        assert_eq!((none.base(), none.lost()), (&Base::new(), None));
    }
}

#[tokio::test]
async fn a_file_with_any_bit_flipped_or_cut_anywhere_is_no_base() {
    let (_state, file) = kept().await;
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(parse(&bytes), Ok(base()));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bent = bytes.clone();
            bent[at] ^= 1 << bit;
            let lost = parse(&bent).unwrap_err();
            let fits = matches!(lost, Lost::Broken | Lost::OtherKey | Lost::Newer);
            assert!(fits, "{lost:?} at byte {at}");
        }
        assert_eq!(parse(&bytes[..at]), Err(Lost::Broken));
    }
    assert_eq!(parse(&[&bytes, &bytes[..]].concat()), Err(Lost::Broken));
}

#[tokio::test]
async fn what_was_made_under_another_machine_key_is_no_base() {
    let (state, _) = kept().await;
    let others = Keys::new(&machine_key(8), "/srv/shop", "production").unwrap();
    let kept = Kept::peek(state.path(), here(), others);
    assert_eq!(kept.lost(), Some(&Lost::OtherKey));
    assert!(kept.base().is_empty());
}

#[tokio::test]
async fn a_file_of_another_pair_project_or_environment_is_no_base() {
    let (state, file) = kept().await;
    let others = [
        pair("vault:secret/shop", "dotenv:/etc/shop/env?map=X"),
        Pair {
            project: "/srv/other".into(),
            ..here()
        },
        Pair {
            environment: "staging".into(),
            ..here()
        },
    ];
    for other in others {
        let folder = other.folder(state.path());
        assert_ne!(Some(folder.as_path()), file.parent());
        let untouched = Kept::peek(state.path(), other.clone(), keys());
        assert_eq!(untouched.lost(), Some(&Lost::First));
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(&file, folder.join("base.json")).unwrap();
        let kept = Kept::take(state.path(), other, keys()).await.unwrap();
        assert_eq!(kept.lost(), Some(&Lost::OtherPair));
        assert!(kept.base().is_empty());
    }
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_no_base_and_is_said_to_be_newer() {
    let (state, file) = kept().await;
    let newer = r#"{"format":5,"whatever":["else"]}"#;
    std::fs::write(&file, newer).unwrap();
    let kept = Kept::peek(state.path(), here(), keys());
    assert_eq!(kept.lost(), Some(&Lost::Newer));
    assert_eq!(parse(br#"{"format":0}"#), Err(Lost::Broken));
}

#[tokio::test]
async fn a_file_from_before_layers_were_noted_is_a_base_without_them() {
    let (_state, file) = kept().await;
    let text = std::fs::read_to_string(file).unwrap();
    let written: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut content = written["base"].clone();
    for entry in content["names"].as_object_mut().unwrap().values_mut() {
        entry.as_object_mut().unwrap().remove("layers");
    }
    let content = content.to_string();
    let sealed = |format: u32| {
        let (key, seal) = (
            &written["key"],
            STANDARD.encode(keys().seal(content.as_bytes())),
        );
        format!(r#"{{"format":{format},"key":{key},"seal":"{seal}","base":{content}}}"#)
    };
    let mut without = base();
    for agreed in without.values_mut().filter_map(|m| m.agreed.as_mut()) {
        agreed.layers = Sides::default();
    }
    assert_eq!(parse(sealed(1).as_bytes()), Ok(without));
}

#[tokio::test]
async fn what_is_lost_is_remembered_again_from_the_next_note_on() {
    let (state, file) = kept().await;
    std::fs::write(&file, "{").unwrap();
    let mut again = take(state.path()).await;
    assert_eq!(again.lost(), Some(&Lost::Broken));
    assert!(again.base().is_empty());
    again
        .note(vec![(name("AGREED"), Some(memory("AGREED")))])
        .unwrap();
    drop(again);
    let kept = take(state.path()).await;
    assert_eq!((kept.base().len(), kept.lost()), (1, None));
}

#[tokio::test]
async fn what_is_remembered_of_another_accounts_stores_is_no_base_and_is_forgotten() {
    let owned = |owner: &str| Owners {
        left: [(0, owner.to_owned())].into(),
        right: BTreeMap::new(),
    };
    let note = || vec![(name("AGREED"), Some(memory("AGREED")))];
    let state = tempfile::tempdir().unwrap();
    let mut kept = take(state.path()).await;
    kept.meet(owned("1 eu"));
    kept.note(note()).unwrap();
    drop(kept);
    // Whichever side is named first.
    let mut kept = Kept::peek(state.path(), there(), keys());
    kept.meet(owned("1 eu").swapped());
    assert_eq!((kept.base().len(), kept.lost()), (1, None));
    // A store that does not say whose it is says nothing against it.
    kept.meet(Owners::default());
    assert_eq!(kept.base().len(), 1);
    let mut kept = take(state.path()).await;
    kept.meet(owned("2 eu"));
    assert!(kept.base().is_empty());
    assert_eq!(kept.lost(), Some(&Lost::OtherOwner));
    kept.note(note()).unwrap();
    assert_eq!(kept.lost(), None);
    drop(kept);
    let mut kept = take(state.path()).await;
    kept.meet(owned("1 eu"));
    assert_eq!(kept.lost(), Some(&Lost::OtherOwner));
}

#[tokio::test]
async fn looking_leaves_no_trace_and_notes_nothing() {
    let state = tempfile::tempdir().unwrap();
    let mut kept = Kept::peek(state.path(), here(), keys());
    assert_eq!(kept.lost(), Some(&Lost::First));
    kept.note(memories()).unwrap();
    assert!(kept.base().is_empty());
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn where_the_state_cannot_be_written_nothing_is_remembered_and_that_is_said() {
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("state");
    std::fs::write(&state, "no folder").unwrap();
    let peeked = Kept::peek(&state, here(), keys());
    assert_eq!(peeked.lost(), Some(&Lost::NoState));
    let mut kept = take(&state).await;
    assert_eq!(kept.lost(), Some(&Lost::NoState));
    kept.note(memories()).unwrap();
    assert!(kept.base().is_empty());
    assert_eq!(kept.lost(), Some(&Lost::NoState));
    assert_eq!(std::fs::read(&state).unwrap(), b"no folder");
}

#[tokio::test]
async fn a_note_that_cannot_be_written_changes_nothing() {
    let (state, file) = kept().await;
    let mut kept = take(state.path()).await;
    let before = kept.base().clone();
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    let error = kept.note(vec![(name("AGREED"), None)]).unwrap_err();
    assert!(!error.message().is_empty());
    assert_eq!(kept.base(), &before);
}

#[tokio::test]
async fn one_run_at_a_time_holds_a_pair_whichever_side_it_names_first() {
    let state = tempfile::tempdir().unwrap();
    let held = take(state.path()).await;
    let soon = Duration::from_millis(30);
    let error = Kept::take_within(soon, state.path(), there(), keys())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.hint().is_some());
    let other = pair("local:", "dotenv:/etc/shop/env");
    Kept::take_within(soon, state.path(), other, keys())
        .await
        .unwrap();
    drop(held);
    Kept::take_within(soon, state.path(), there(), keys())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_run_that_waited_sees_what_the_one_before_it_noted() {
    let state = tempfile::tempdir().unwrap();
    let mut first = take(state.path()).await;
    let waiting = Kept::take(state.path(), here(), keys());
    let finishing = async {
        tokio::task::yield_now().await;
        first.note(memories()).unwrap();
        drop(first);
    };
    let (second, ()) = tokio::join!(waiting, finishing);
    assert_eq!(second.unwrap().base(), &base());
}

#[test]
fn many_runs_that_note_under_the_lock_lose_nothing() {
    let state = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for runner in 0..4 {
            let state = state.path();
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                for turn in 0..5 {
                    let n = name(&format!("NAME_{runner}_{turn}"));
                    runtime.block_on(async {
                        let mut kept = take(state).await;
                        kept.note(vec![(n, Some(memory("AGREED")))]).unwrap();
                    });
                }
            });
        }
    });
    let kept = Kept::peek(state.path(), there(), keys());
    assert_eq!((kept.base().len(), kept.lost()), (20, None));
}

#[tokio::test]
async fn only_the_owner_can_enter_or_read_it() {
    let (state, file) = kept().await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = file.parent().unwrap();
    assert_eq!(mode(&state.path().join("sync")), 0o700);
    assert_eq!(mode(folder), 0o700);
    let files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.contains(&file));
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn no_value_and_no_plain_digest_of_one_is_in_the_file() {
    let (_state, file) = kept().await;
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("AGREED"));
    assert!(text.contains(&STANDARD.encode(print("AGREED").as_bytes())));
    let digest = Sha256::digest(VALUE);
    let plain = String::from_utf8(VALUE.to_vec()).unwrap();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    for canary in [plain, STANDARD.encode(VALUE), STANDARD.encode(digest), hex] {
        assert!(!text.contains(&canary));
    }
    assert!(!text.contains(&STANDARD.encode([7; 32])));
    assert_eq!(format!("{:?}", keys()), "Keys");
}

#[test]
fn a_fingerprint_tells_apart_key_project_environment_name_and_value_and_nothing_else() {
    let of = |key: u8, project: &str, environment: &str, text: &str, value: &str| {
        let keys = Keys::new(&machine_key(key), project, environment).unwrap();
        keys.fingerprint(&name(text), &SecretValue::from_slice(value.as_bytes()))
    };
    let rows = [
        of(7, "shop", "dev", "KEY", "value"),
        of(8, "shop", "dev", "KEY", "value"),
        of(7, "shops", "dev", "KEY", "value"),
        of(7, "shop", "prod", "KEY", "value"),
        of(7, "shop", "dev", "KEYS", "value"),
        of(7, "shop", "dev", "KEY", "values"),
        // The same bytes in a row, cut elsewhere.
        of(7, "shopd", "ev", "KEY", "value"),
        of(7, "shop", "devK", "EY", "value"),
        of(7, "shop", "dev", "KEYv", "alue"),
        of(7, "shop", "dev", "KEY", ""),
    ];
    for (n, one) in rows.iter().enumerate() {
        for (m, other) in rows.iter().enumerate() {
            assert_eq!(one == other, n == m, "{n} {m}");
        }
    }
    assert_eq!(rows[0], of(7, "shop", "dev", "KEY", "value"));
}

/// The seal and the mark are made under the same key: neither may be a fingerprint of something.
#[test]
fn a_seal_is_no_fingerprint() {
    let keys = keys();
    let seal = keys.seal(VALUE);
    assert_ne!(seal, keys.mark());
    assert_ne!(&seal, print("AGREED").as_bytes());
    assert_ne!(&keys.mark(), print("AGREED").as_bytes());
}
