//! The checks, one line each. A check's name is the sentence that must hold.

mod batches;
mod deletion;
mod guards;
mod keeping;
mod putback;
mod races;
mod reading;
mod values;

use secrets_api::{Capabilities, Guard, Unit};

use crate::stage::{Outcome, Stage};

/// One check.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// Whether it says anything about a store that can do this.
    pub(crate) applies: fn(&Capabilities) -> bool,
    pub(crate) run: fn(&Stage<'_>) -> Outcome,
}

fn always(_: &Capabilities) -> bool {
    true
}

fn writes(can: &Capabilities) -> bool {
    can.writable
}

fn read_only(can: &Capabilities) -> bool {
    !can.writable
}

/// Whether preconditions hold at least this well.
fn guards(can: &Capabilities, least: Guard) -> bool {
    can.writable && can.guard >= least
}

fn creates(can: &Capabilities) -> bool {
    guards(can, Guard::CreateOnly)
}

fn compares(can: &Capabilities) -> bool {
    guards(can, Guard::Cooperative)
}

fn is_document(can: &Capabilities) -> bool {
    can.unit == Unit::Document
}

/// Whether only the document's history tells a value that was put back.
fn labels(can: &Capabilities) -> bool {
    can.writable && can.history && !can.own_versions && is_document(can)
}

macro_rules! checks {
    ($($module:ident::$check:ident if $applies:expr;)*) => {
        /// All of them, in the order they are run.
        pub(crate) const ALL: &[Check] = &[$(Check {
            name: stringify!($check),
            applies: $applies,
            run: $module::$check,
        }),*];
    };
}

checks! {
    reading::a_store_says_what_and_where_it_is if always;
    reading::what_was_never_there_is_absent if always;
    reading::a_read_answers_in_the_order_and_number_asked if always;
    reading::all_that_is_there_is_read_and_listed_once if always;
    reading::odd_names_are_names_like_others if always;
    reading::reading_changes_nothing if always;
    reading::a_read_only_store_refuses_every_write if read_only;

    values::every_value_declared_comes_back_as_it_was if always;
    values::an_empty_value_is_a_value if always;
    values::a_value_of_64_kib_is_held_or_refused if writes;
    values::a_value_beyond_the_declared_kind_is_refused if writes;
    values::a_value_over_the_limit_is_refused_and_one_at_it_held if writes;
    values::a_refusal_comes_before_anything_is_written if writes;
    values::what_is_admitted_is_what_a_write_takes if always;
    values::a_value_replaced_leaves_nothing_of_it if writes;

    guards::a_name_is_created_once if creates;
    guards::a_stale_version_is_a_conflict if compares;
    guards::a_guarded_deletion_keeps_what_came_meanwhile if compares;
    guards::a_guard_that_is_not_declared_is_refused if writes;
    guards::versions_tell_states_apart if compares;
    guards::a_version_is_no_plain_hash_of_the_value if always;
    guards::a_refusal_says_where_and_reads_well if writes;

    batches::changes_are_answered_in_order_and_number if writes;
    batches::a_failed_precondition_fails_the_whole_document if |can| is_document(can) && creates(can);
    batches::a_failed_precondition_fails_its_own_change_alone if |can| !is_document(can) && creates(can);
    batches::a_stale_base_is_a_conflict if |can| is_document(can) && compares(can);
    batches::a_base_is_refused_where_it_cannot_guard if |can| writes(can) && !(is_document(can) && compares(can));
    batches::a_revision_names_one_state_of_the_document if always;
    batches::a_name_twice_in_one_batch_is_refused if writes;
    batches::an_empty_batch_changes_nothing if writes;
    batches::a_write_keeps_what_it_does_not_name if writes;

    deletion::a_deleted_secret_is_gone if writes;
    deletion::a_deletion_is_told_from_absence_where_declared if writes;
    deletion::preconditions_hold_for_what_was_deleted if compares;
    deletion::a_deleted_secret_is_restored_where_declared if |can| writes(can) && can.restore;
    deletion::a_restore_that_is_not_declared_is_refused if |can| writes(can) && !can.restore;

    keeping::a_history_tells_every_state_newest_first if |can| writes(can) && can.history;
    keeping::every_state_of_the_history_is_read_back if |can| writes(can) && can.history;
    keeping::pruning_forgets_all_but_the_newest_states if |can| writes(can) && can.history && can.prune;
    keeping::pruning_that_is_not_declared_is_refused if |can| !can.prune;
    reading::a_name_over_the_limit_is_refused if |can| writes(can) && can.limits.name_bytes.is_some();
    keeping::a_history_that_is_not_declared_is_refused if |can| !can.history;
    keeping::an_operation_repeated_takes_effect_once if |can| writes(can) && can.idempotent;
    keeping::a_guarded_operation_repeated_is_no_conflict if |can| compares(can) && can.idempotent;
    keeping::a_batch_repeated_under_its_base_is_no_conflict if |can| compares(can) && can.idempotent && is_document(can);
    keeping::another_operation_is_not_taken_for_a_repetition if writes;
    keeping::a_repetition_that_is_not_declared_is_a_new_write if |can| creates(can) && !can.idempotent;
    keeping::a_poll_tells_of_every_change if |can| can.cheap_poll;
    keeping::a_poll_that_is_not_declared_is_refused if |can| !can.cheap_poll;

    putback::a_value_put_back_has_another_version_only_where_versions_are_own if writes;
    putback::a_history_labels_each_state_with_all_revisions_that_held_it if labels;
    putback::a_value_put_back_bears_no_revision_of_its_earlier_state if labels;

    races::of_racing_creators_exactly_one_wins if creates;
    races::of_racing_writers_exactly_one_wins if compares;
    races::of_racing_batches_under_one_base_exactly_one_wins if |can| is_document(can) && compares(can);
    races::writers_of_different_names_lose_nothing if |can| compares(can) || writes(can) && !is_document(can);
    races::a_batch_is_seen_whole_or_not_at_all if |can| is_document(can) && compares(can);
}
