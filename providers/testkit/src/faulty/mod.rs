//! Stores with one fault each, and which checks must catch it: the proof that the suite can fail.
//!
//! A check that no fault of [`ALL`] sets off is worth nothing: a test demands that there is none.

mod claims;
mod reads;
mod writes;

use std::fmt;
use std::sync::Arc;

use secrets_api::{
    Capabilities, Guard, Lookup, Meta, OperationId, Provider, Revision, SecretValue, Snapshot,
    Stored, Unit, Values, Version,
};
use sha2::{Digest as _, Sha256};

use crate::bend::Bent;

pub use claims::{Admits, Declares, FailsToInspect, Leak, LeaksValues, WordsErrors};
pub use reads::{
    AltersHistories, AltersLists, AltersReads, KnowsOnlyThePresent, ListsWhatIsDeleted, PollsAlike,
    PrunesNothing, WritesOnReads,
};
pub use writes::{
    AcceptsAnyGuard, AltersAnswers, AltersValues, DeletesTooMuch, DoesNotTruncate, IgnoresCase,
    IgnoresPreconditions, LooksThenWrites, LosesUpdates, RefusesTooLate, Renames, RestoresNothing,
    SplitsBatches, TakesNamesTwice, WritesOnEmptyBatches,
};

type Wrap = fn(Arc<dyn Provider>) -> Arc<dyn Provider>;

/// One way to be wrong.
pub struct Fault {
    /// The fault, as a name.
    pub name: &'static str,
    /// What of a store that can do everything is taken away before the fault is added.
    pub over: fn(&mut Capabilities),
    /// Adds the fault.
    pub wrap: Wrap,
    /// Checks that must fail, others may.
    pub caught_by: &'static [&'static str],
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! faults {
    ($($name:ident over $over:expr => $bend:expr; caught by $($check:ident)*;)*) => {
        /// All faults.
        pub const ALL: &[Fault] = &[$(Fault {
            name: stringify!($name),
            over: $over,
            wrap: |store| Bent::new(store, $bend),
            caught_by: &[$(stringify!($check)),*],
        }),*];
    };
}

fn whole(_: &mut Capabilities) {}

fn each(can: &mut Capabilities) {
    can.unit = Unit::Secret;
}

fn macs(can: &mut Capabilities) {
    can.own_versions = false;
}

fn lesser_guard(can: &mut Capabilities) {
    can.guard = Guard::None;
}

faults! {
    // Preconditions.
    IgnoresPreconditions over whole => IgnoresPreconditions; caught by
        a_name_is_created_once a_stale_version_is_a_conflict
        a_guarded_deletion_keeps_what_came_meanwhile
        a_failed_precondition_fails_the_whole_document a_stale_base_is_a_conflict
        preconditions_hold_for_what_was_deleted of_racing_creators_exactly_one_wins
        of_racing_writers_exactly_one_wins of_racing_batches_under_one_base_exactly_one_wins;
    IgnoresPreconditionsOfEach over each => IgnoresPreconditions; caught by
        a_name_is_created_once a_stale_version_is_a_conflict
        a_failed_precondition_fails_its_own_change_alone;
    IgnoresPreconditionsAndSaysSo over whole => AcceptsAnyGuard; caught by
        a_guard_that_is_not_declared_is_refused a_base_is_refused_where_it_cannot_guard;
    LooksThenWrites over whole => LooksThenWrites; caught by
        of_racing_creators_exactly_one_wins of_racing_writers_exactly_one_wins
        of_racing_batches_under_one_base_exactly_one_wins;
    LosesUpdates over whole => LosesUpdates; caught by writers_of_different_names_lose_nothing;
    SplitsBatches over whole => SplitsBatches; caught by
        a_failed_precondition_fails_the_whole_document a_batch_is_seen_whole_or_not_at_all;

    // Claiming less than one can.
    UnderDeclaresGuards over whole => Declares(|can| can.guard = Guard::None); caught by
        a_guard_that_is_not_declared_is_refused a_base_is_refused_where_it_cannot_guard;
    UnderDeclaresVersions over whole => Declares(|can| can.guard = Guard::CreateOnly); caught by
        a_guard_that_is_not_declared_is_refused;
    UnderDeclaresNul over whole => Declares(|can| can.values = Values::Utf8NoNul); caught by
        a_value_beyond_the_declared_kind_is_refused a_refusal_comes_before_anything_is_written;
    UnderDeclaresBytes over whole => Declares(|can| can.values = Values::Utf8); caught by
        a_value_beyond_the_declared_kind_is_refused;
    UnderDeclaresSize over whole => Declares(|can| can.limits.value_bytes = Some(4096)); caught by
        a_value_over_the_limit_is_refused_and_one_at_it_held a_value_of_64_kib_is_held_or_refused;
    UnderDeclaresWrites over whole => Declares(|can| can.writable = false); caught by
        a_read_only_store_refuses_every_write;
    UnderDeclaresHistory over whole => Declares(|can| can.history = false); caught by
        a_history_that_is_not_declared_is_refused;
    UnderDeclaresPruning over whole => Declares(|can| can.prune = false); caught by
        pruning_that_is_not_declared_is_refused;
    UnderDeclaresNames over whole => Declares(|can| can.limits.name_bytes = Some(40)); caught by
        a_name_over_the_limit_is_refused;
    UnderDeclaresRestore over whole => Declares(|can| can.restore = false); caught by
        a_restore_that_is_not_declared_is_refused a_deletion_is_told_from_absence_where_declared;
    UnderDeclaresIdempotence over whole => Declares(|can| can.idempotent = false); caught by
        a_repetition_that_is_not_declared_is_a_new_write;
    UnderDeclaresPolls over whole => Declares(|can| can.cheap_poll = false); caught by
        a_poll_that_is_not_declared_is_refused;
    UnderDeclaresOwnVersions over whole => Declares(|can| can.own_versions = false); caught by
        a_value_put_back_has_another_version_only_where_versions_are_own
        a_history_labels_each_state_with_all_revisions_that_held_it;
    UnderDeclaresDocuments over whole => Declares(|can| can.unit = Unit::Secret); caught by
        a_base_is_refused_where_it_cannot_guard a_revision_names_one_state_of_the_document;

    // Claiming more.
    OverDeclaresGuards over lesser_guard => Declares(|can| can.guard = Guard::Cooperative); caught by
        a_name_is_created_once a_stale_version_is_a_conflict;
    OverDeclaresValues over |can| can.values = Values::Utf8 => Declares(|can| can.values = Values::Bytes);
        caught by every_value_declared_comes_back_as_it_was;
    OverDeclaresSize over |can| can.limits.value_bytes = Some(4096) =>
        Declares(|can| can.limits.value_bytes = None); caught by a_value_of_64_kib_is_held_or_refused;
    OverDeclaresHistory over |can| can.history = false => Declares(|can| can.history = true); caught by
        a_history_tells_every_state_newest_first every_state_of_the_history_is_read_back;
    OverDeclaresPruning over |can| can.prune = false => Declares(|can| can.prune = true); caught by
        pruning_forgets_all_but_the_newest_states;
    OverDeclaresNames over |can| can.limits.name_bytes = Some(40) => Declares(|can| can.limits.name_bytes = None);
        caught by odd_names_are_names_like_others;
    OverDeclaresRestore over |can| can.restore = false => Declares(|can| can.restore = true); caught by
        a_deleted_secret_is_restored_where_declared a_deletion_is_told_from_absence_where_declared;
    OverDeclaresPolls over |can| can.cheap_poll = false => Declares(|can| can.cheap_poll = true); caught by
        a_poll_tells_of_every_change;
    OverDeclaresOwnVersions over macs => Declares(|can| can.own_versions = true); caught by
        a_value_put_back_has_another_version_only_where_versions_are_own;
    OverDeclaresDocuments over each => Declares(|can| can.unit = Unit::Document); caught by
        a_failed_precondition_fails_the_whole_document a_revision_names_one_state_of_the_document;

    // Operations.
    NotIdempotent over whole => Renames(|_| OperationId::random()); caught by
        an_operation_repeated_takes_effect_once a_guarded_operation_repeated_is_no_conflict
        a_batch_repeated_under_its_base_is_no_conflict;
    TakesEveryOperationForOne over whole => Renames(|_| OperationId::from_bytes([0; 16])); caught by
        another_operation_is_not_taken_for_a_repetition;

    // Answers.
    LosesOrder over whole => AltersReads(|snapshot| snapshot.items.reverse()); caught by
        a_read_answers_in_the_order_and_number_asked;
    DropsTheAbsent over whole => AltersReads(drop_the_absent); caught by
        a_read_answers_in_the_order_and_number_asked;
    LosesOrderOfAnswers over whole => AltersAnswers(|items| items.reverse()); caught by
        changes_are_answered_in_order_and_number;
    LosesAnswers over whole => AltersAnswers(|items| items.truncate(1)); caught by
        changes_are_answered_in_order_and_number;
    FakesAbsence over whole => AltersReads(fake_absence); caught by
        a_deletion_is_told_from_absence_where_declared;
    FindsWhatNeverWas over whole => AltersReads(find_what_never_was); caught by
        what_was_never_there_is_absent;
    ListsNothing over whole => AltersLists(Vec::clear); caught by
        all_that_is_there_is_read_and_listed_once;
    ListsTwice over whole => AltersLists(|list| list.extend(list.clone())); caught by
        all_that_is_there_is_read_and_listed_once;
    ListsWhatIsDeleted over whole => ListsWhatIsDeleted; caught by a_deleted_secret_is_gone;
    ForgetsRevisions over whole => AltersReads(|snapshot| snapshot.revision = None); caught by
        a_revision_names_one_state_of_the_document;
    RepeatsRevisions over whole => AltersReads(|snapshot| snapshot.revision = Some(Revision::new("1")));
        caught by a_revision_names_one_state_of_the_document;
    RepeatsVersions over whole => AltersReads(|snapshot| each_found(snapshot, |stored| {
        stored.meta.version = Some(Version::new("1"));
    })); caught by versions_tell_states_apart;
    HashesValues over whole => AltersReads(|snapshot| each_found(snapshot, hash)); caught by
        a_version_is_no_plain_hash_of_the_value;
    WritesOnReads over |can| can.idempotent = false => WritesOnReads; caught by reading_changes_nothing;
    KnowsOnlyThePresent over whole => KnowsOnlyThePresent; caught by
        every_state_of_the_history_is_read_back;
    TellsHistoryBackwards over whole => AltersHistories(|history| history.reverse()); caught by
        a_history_tells_every_state_newest_first;
    ForgetsStates over whole => AltersHistories(|history: &mut Vec<Meta>| history.truncate(2)); caught by
        a_history_tells_every_state_newest_first;
    LabelsNothing over macs => AltersHistories(|history| history.iter_mut().for_each(|m| m.tags.clear()));
        caught by a_history_labels_each_state_with_all_revisions_that_held_it
        a_value_put_back_bears_no_revision_of_its_earlier_state;
    LabelsOneRevision over macs => AltersHistories(|history| history.iter_mut().for_each(|m| m.tags.truncate(1)));
        caught by a_history_labels_each_state_with_all_revisions_that_held_it;
    LabelsByValue over macs => AltersHistories(label_by_value); caught by
        a_value_put_back_bears_no_revision_of_its_earlier_state;
    PrunesNothing over whole => PrunesNothing; caught by
        pruning_forgets_all_but_the_newest_states;
    PollsAlwaysChanged over whole => PollsAlike(true); caught by a_poll_tells_of_every_change;
    PollsNeverChanged over whole => PollsAlike(false); caught by a_poll_tells_of_every_change;

    // Values and names.
    StripsFinalNewlines over whole => AltersValues(|bytes| bytes.trim_ascii_end().to_vec()); caught by
        every_value_declared_comes_back_as_it_was;
    TranslatesLineEnds over whole => AltersValues(|bytes| {
        bytes.iter().copied().filter(|byte| *byte != b'\r').collect()
    }); caught by every_value_declared_comes_back_as_it_was;
    TakesEmptyForAbsent over whole => AltersReads(take_empty_for_absent); caught by
        an_empty_value_is_a_value;
    CutsLongValues over whole => AltersValues(|bytes| bytes[..bytes.len().min(32 * 1024)].to_vec());
        caught by a_value_of_64_kib_is_held_or_refused;
    DoesNotTruncate over whole => DoesNotTruncate; caught by a_value_replaced_leaves_nothing_of_it;
    RefusesTooLate over |can| can.values = Values::Utf8 => RefusesTooLate; caught by
        a_refusal_comes_before_anything_is_written;
    AdmitsWhatItRefuses over |can| can.values = Values::Utf8 => Admits(|_| true); caught by
        what_is_admitted_is_what_a_write_takes;
    RefusesToAdmitWhatItTakes over whole => Admits(|value| !value.is_empty()); caught by
        what_is_admitted_is_what_a_write_takes;
    IgnoresCase over whole => IgnoresCase; caught by odd_names_are_names_like_others;

    // Batches and deletions.
    TakesNamesTwice over whole => TakesNamesTwice; caught by a_name_twice_in_one_batch_is_refused;
    WritesOnEmptyBatches over whole => WritesOnEmptyBatches; caught by an_empty_batch_changes_nothing;
    DeletesTooMuch over whole => DeletesTooMuch; caught by a_write_keeps_what_it_does_not_name;
    RestoresNothing over whole => RestoresNothing; caught by
        a_deleted_secret_is_restored_where_declared;

    // What is said.
    FailsToInspect over whole => FailsToInspect; caught by a_store_says_what_and_where_it_is;
    EndsSentences over whole => WordsErrors(|error| {
        secrets_api::Error::new(error.kind(), "It failed.").at_store("memory:")
    }); caught by a_refusal_says_where_and_reads_well;
    DoesNotSayWhere over whole => WordsErrors(|error| secrets_api::Error::new(error.kind(), "it failed"));
        caught by a_refusal_says_where_and_reads_well;
    LeaksIntoMessages over whole => LeaksValues(Leak::Message); caught by no_value_is_ever_shown;
    LeaksIntoHints over whole => LeaksValues(Leak::Hint); caught by no_value_is_ever_shown;
    LeaksIntoCauses over whole => LeaksValues(Leak::Cause); caught by no_value_is_ever_shown;
    LeaksIntoReports over whole => LeaksValues(Leak::Report); caught by no_value_is_ever_shown;
    LeaksIntoTags over whole => LeaksValues(Leak::Tag); caught by no_value_is_ever_shown;
    LeaksIntoPanics over whole => LeaksValues(Leak::Panic); caught by no_value_is_ever_shown;
}

fn each_found(snapshot: &mut Snapshot, alter: impl Fn(&mut Stored)) {
    for (_, lookup) in &mut snapshot.items {
        if let Ok(Lookup::Found(stored)) = lookup {
            alter(stored);
        }
    }
}

fn drop_the_absent(snapshot: &mut Snapshot) {
    snapshot
        .items
        .retain(|(_, lookup)| !matches!(lookup, Ok(Lookup::Absent)));
}

fn fake_absence(snapshot: &mut Snapshot) {
    for (_, lookup) in &mut snapshot.items {
        if matches!(lookup, Ok(Lookup::Deleted { .. })) {
            *lookup = Ok(Lookup::Absent);
        }
    }
}

fn find_what_never_was(snapshot: &mut Snapshot) {
    for (_, lookup) in &mut snapshot.items {
        if matches!(lookup, Ok(Lookup::Absent)) {
            *lookup = Ok(Lookup::Found(Stored {
                value: SecretValue::from_slice(b""),
                meta: Meta::default(),
            }));
        }
    }
}

fn take_empty_for_absent(snapshot: &mut Snapshot) {
    for (_, lookup) in &mut snapshot.items {
        if matches!(lookup, Ok(Lookup::Found(stored)) if stored.value.is_empty()) {
            *lookup = Ok(Lookup::Absent);
        }
    }
}

/// A state gets the labels of all that had its value.
fn label_by_value(history: &mut Vec<Meta>) {
    let told = history.clone();
    for state in history {
        let alike = told.iter().filter(|other| other.version == state.version);
        state.tags = alike.flat_map(|other| other.tags.clone()).collect();
    }
}

fn hash(stored: &mut Stored) {
    let digest = Sha256::digest(stored.value.expose());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    stored.meta.version = Some(Version::new(hex));
}
