//! A plan as people read it: one line a name, the left side on the left, the right on the right, and
//! between them which way the value goes. Fingerprints stand for values; a value is shown where it is
//! configuration, or was asked for by name.

use std::collections::BTreeSet;

use jiff::Timestamp;
use secrets_api::Name;

use crate::age;
use crate::apply::{self, Held, Link, Observed, Party, Place, Work};
use crate::base::Lost;
use crate::exec::hijack;
use crate::exit::{Exit, Failure, Result};
use crate::plan::{Action, Direction, Plan, Seen, Side, Step, Why};
use crate::printer::{Mark, Printer, counted, printable};
use crate::suggest;

/// The longest configuration value that is shown whole, in characters.
const MOST_SHOWN: usize = 24;
/// Columns are no wider than this, in characters: what is longer moves the rest of its line.
const WIDEST: usize = 32;
/// More lines than this are summed up below them.
const MANY: usize = 16;
/// So many names that are only in the mirror, or are no names of secrets, are told one by one.
const MOST_NAMED: usize = 8;

/// Where the lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Standard error: what is about to be done.
    Person,
    /// Standard output: what was asked for.
    Out,
}

/// Shows one link's plan: what is on both sides, its steps, how many are the same.
///
/// # Errors
/// As [`Printer::data`].
pub fn plan(
    printer: &Printer,
    work: &Work,
    link: &Link,
    to: To,
    holds: impl Fn(&Step) -> bool,
) -> Result<()> {
    let lines = Lines { work, link };
    put(printer, to, Mark::Heading, '#', &lines.heading())?;
    let wordy = printer.verbosity() > 0;
    let extras = link.plan.count(|a| matches!(a, Action::Extra { .. }));
    let folded = extras > MOST_NAMED && !wordy;
    let shown = |step: &&Step| {
        holds(step)
            && (wordy || !step.action.is_in_step())
            && !(folded && matches!(step.action, Action::Extra { .. }))
    };
    // What takes a person's word stands last: beside the question.
    let (asks, rest): (Vec<_>, Vec<_>) = link
        .plan
        .steps
        .iter()
        .filter(shown)
        .partition(|step| asks(&step.action));
    let rows: Vec<Row> = rest.into_iter().chain(asks).map(|s| lines.row(s)).collect();
    let width = |cell: &dyn Fn(&Row) -> &str| {
        let widths = rows.iter().map(|row| length(cell(row)));
        widths.filter(|w| *w <= WIDEST).max().unwrap_or(0)
    };
    let (name, left, right) = (
        width(&|row| &row.name),
        width(&|row| &row.left),
        width(&|row| &row.right),
    );
    for row in &rows {
        let text = format!(
            "{:name$}  {:left$} {} {:right$}  {}",
            row.name, row.left, row.arrow, row.right, row.note
        );
        put(printer, to, row.mark, row.sign, text.trim_end())?;
    }
    if folded {
        let place = sided(link.rules.direction, extra_side(link.rules.direction));
        let text = format!("{extras} only in {place}: left alone (-v names them)");
        put(printer, to, Mark::Same, '·', &text)?;
    }
    if rows.len() > MANY {
        let counts = format!("({})", summary(&link.plan));
        return put(printer, to, Mark::Same, ' ', &counts);
    }
    let same = link.plan.count(Action::is_in_step);
    if same > 0 {
        put(printer, to, Mark::Same, '=', &format!("{same} the same"))?;
    }
    Ok(())
}

/// Whether nothing is done about it unless somebody decides.
fn asks(action: &Action) -> bool {
    matches!(
        action,
        Action::Conflict(_) | Action::Pending { .. } | Action::Unknown { .. }
    )
}

/// How many names are how far apart.
pub fn summary(plan: &Plan) -> String {
    type Kind = (&'static str, fn(&Action) -> bool);
    let kinds: [Kind; 8] = [
        ("to create", |a| matches!(a, Action::Create { .. })),
        ("to change", |a| matches!(a, Action::Change { .. })),
        ("to delete", |a| {
            matches!(a, Action::Delete { .. } | Action::Pending { .. })
        }),
        ("in conflict", |a| matches!(a, Action::Conflict(_))),
        ("waiting", |a| matches!(a, Action::Waiting { .. })),
        ("only here", |a| matches!(a, Action::Extra { .. })),
        ("unreadable", |a| matches!(a, Action::Unknown { .. })),
        ("the same", Action::is_in_step),
    ];
    let parts = kinds.iter().filter_map(|(word, of)| {
        let count = plan.count(of);
        (count > 0).then(|| format!("{count} {word}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn put(printer: &Printer, to: To, mark: Mark, sign: char, text: &str) -> Result<()> {
    match to {
        To::Out => printer.step_out(mark, sign, text),
        To::Person => {
            printer.step(mark, sign, text);
            Ok(())
        }
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// What is to be known of what is remembered, where that is lost.
pub fn memory(printer: &Printer, link: &Link) {
    if let Some(lost) = link.kept.lost()
        && *lost != Lost::First
    {
        printer.warn(format!(
            "{}: compared as if they had never been synced",
            lost.words()
        ));
    }
}

/// What is left alone on either side, and what is not there at all.
pub fn surroundings(printer: &Printer, work: &Work) {
    for (party, seen) in work.parties.iter().zip(&work.observed) {
        let Some(seen) = seen else { continue };
        if !seen.foreign.is_empty() {
            let named = seen.foreign.iter().take(MOST_NAMED).map(String::as_str);
            let list = named.collect::<Vec<_>>().join(", ");
            let more = match seen.foreign.len().saturating_sub(MOST_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            printer.warn(format!(
                "{}: left alone, no names of secrets: {list}{more}",
                party.label
            ));
        }
        if seen.missing {
            printer.say(format!("({} is not there yet)", party.label));
        }
    }
    let mut told = BTreeSet::new();
    for (n, names) in work.links.iter().flat_map(emptied) {
        if told.insert((n, names)) {
            printer.warn(format!(
                "{} holds nothing any more, which looks like an accident: {} not taken for deleted there",
                work.parties[n].label,
                counted(names.len(), "secret")
            ));
            printer.hint(if_deleted(names));
        }
    }
}

/// The parties of a link that hold nothing any more, with the names that are gone from each.
pub fn emptied(link: &Link) -> impl Iterator<Item = (usize, &BTreeSet<Name>)> {
    let sides = Side::BOTH.map(|side| (*link.sides.of(side), link.plan.emptied.of(side)));
    sides.into_iter().filter(|(_, names)| !names.is_empty())
}

/// What to type if these names are gone because they were deleted. All of them have to be named.
pub fn if_deleted(names: &BTreeSet<Name>) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    format!("if they were deleted: --delete --only {}", names.join(","))
}

/// Refuses names of a flag that are on no side.
///
/// # Errors
/// `NotFound`, naming the nearest name there is.
pub fn check_there(work: &Work, flag: &str, names: &BTreeSet<Name>) -> Result<()> {
    if work.observed.iter().any(Option::is_none) {
        return Ok(());
    }
    let seen = || work.observed.iter().flatten();
    match names.iter().find(|name| !seen().any(|s| s.has(name))) {
        None => Ok(()),
        Some(name) => {
            let known = seen().flat_map(|s| s.held.keys()).map(Name::as_str);
            let near = suggest::nearest(name.as_str(), known);
            let message = format!("{flag} {name}: there is no such name on either side");
            Err(Failure::new(Exit::NotFound, message)
                .with_hint_opt(near.map(|n| format!("did you mean `{n}`?"))))
        }
    }
}

/// Refuses stores of which none is there: most likely their names are wrong, and that they hold the same says
/// nothing.
///
/// # Errors
/// `NotFound`, naming them.
pub fn check_any(work: &Work) -> Result<()> {
    let missing = |seen: &Option<Observed>| seen.as_ref().is_some_and(|seen| seen.missing);
    if !work.observed.iter().all(missing) {
        return Ok(());
    }
    let labels: Vec<_> = work.parties.iter().map(|p| p.label.as_str()).collect();
    let message = match labels.as_slice() {
        [one, other] => format!("neither is there: {one}, {other}"),
        all => format!("none is there: {}", all.join(", ")),
    };
    Err(Failure::new(Exit::NotFound, message).with_hint("are their names right?"))
}

/// The values of these names, on standard output.
///
/// # Errors
/// As [`Printer::data`].
pub fn reveal(printer: &Printer, work: &Work, link: &Link, names: &BTreeSet<Name>) -> Result<()> {
    for name in names {
        for side in Side::BOTH {
            let label = work.party(link, side).label.as_str();
            let Some(held) = held(work, link, side, name) else {
                continue;
            };
            printer.data(format!("{name} in {}: ", printable(label)).as_bytes())?;
            // A terminal is not moved by what a store says; a program gets the bytes.
            if printer.out_is_terminal() {
                let text = String::from_utf8_lossy(held.value.expose());
                printer.data(printable(&text).as_bytes())?;
            } else {
                printer.data(held.value.expose())?;
            }
            printer.data(b"\n")?;
        }
    }
    Ok(())
}

/// What was seen of a name on one side, value and all.
pub fn held<'a>(work: &'a Work, link: &Link, side: Side, name: &Name) -> Option<&'a Held> {
    work.observed[*link.sides.of(side)].as_ref()?.held.get(name)
}

/// Whether the manifest says that this is no secret, and a person has accepted that.
pub fn is_configuration(work: &Work, name: &Name) -> bool {
    let declared = |party: &Party| {
        let secret = party.settings.secret(name);
        party.settings.trusted && secret.is_some_and(|s| !s.is_sensitive())
    };
    work.parties.iter().all(declared)
}

/// What a side is called: of a push or pull it is the source or the mirror.
pub fn sided(direction: Direction, side: Side) -> &'static str {
    match (direction, side) {
        (Direction::Both, Side::Left) => "the left store",
        (Direction::Both, Side::Right) => "the right store",
        (Direction::To(_), Side::Left) => "the source",
        (Direction::To(_), Side::Right) => "the mirror",
    }
}

/// The side that a push or pull writes, which may have names that the other has not.
fn extra_side(direction: Direction) -> Side {
    match direction {
        Direction::Both => Side::Right,
        Direction::To(to) => to,
    }
}

/// Where a step writes, if it can: what cannot be written is said before anything is.
pub fn target(work: &Work, link: &Link, step: &Step) -> Option<Place> {
    apply::place(work, link, step).ok().flatten()
}

/// One line.
struct Row {
    mark: Mark,
    sign: char,
    name: String,
    left: String,
    arrow: char,
    right: String,
    note: String,
}

/// Writes the lines of one link.
struct Lines<'a> {
    work: &'a Work,
    link: &'a Link,
}

impl Lines<'_> {
    fn heading(&self) -> String {
        let arrow = match self.link.rules.direction {
            Direction::Both => '↔',
            Direction::To(Side::Right) => '→',
            Direction::To(Side::Left) => '←',
        };
        let label = |side: Side| &self.work.party(self.link, side).label;
        let synced = match (self.link.kept.lost(), self.link.kept.saved()) {
            (None, Some(then)) => format!("synced {} ago", age::between(then, Timestamp::now())),
            (Some(Lost::First), _) => "never synced from here".to_owned(),
            _ => "what was synced is not known".to_owned(),
        };
        format!(
            "{} {arrow} {}  ({synced})",
            label(Side::Left),
            label(Side::Right)
        )
    }

    fn row(&self, step: &Step) -> Row {
        let (mark, sign, arrow) = match &step.action {
            Action::Same | Action::Agree | Action::Forget => (Mark::Same, '=', '='),
            Action::Create { to, .. } => (Mark::Added, '+', towards(*to)),
            Action::Change { to } => (Mark::Changed, '~', towards(*to)),
            Action::Delete { to } => (Mark::Removed, '-', towards(*to)),
            Action::Pending { .. } => (Mark::Changed, '?', ' '),
            Action::Extra { .. } | Action::Skipped => (Mark::Same, '·', ' '),
            Action::Conflict(_) => (Mark::Clash, '!', '≠'),
            Action::Waiting { .. } | Action::Unknown { .. } => (Mark::Changed, '?', ' '),
        };
        Row {
            mark,
            sign,
            name: step.name.to_string(),
            left: self.state(step, Side::Left),
            arrow,
            right: self.state(step, Side::Right),
            note: self.note(step),
        }
    }

    /// What there is to say beyond the two sides.
    fn note(&self, step: &Step) -> String {
        let direction = self.link.rules.direction;
        let place = |side: Side| sided(direction, side);
        let mut notes: Vec<String> = Vec::new();
        match &step.action {
            Action::Same | Action::Agree | Action::Forget => {}
            Action::Create { first: true, .. } => notes.push(match direction {
                Direction::Both => "first sync".to_owned(),
                Direction::To(_) => "new".to_owned(),
            }),
            Action::Create { to, .. } => {
                notes.push(format!("written again, deleted in {}", place(*to)));
            }
            Action::Change { to } => {
                let there = step.seen.of(*to).fingerprint();
                match step.agreed {
                    None => notes.push("never agreed on: overwritten".to_owned()),
                    Some(_) if step.agreed == there => {}
                    Some(_) => notes.push("its own change is overwritten".to_owned()),
                }
            }
            Action::Delete { .. } => notes.push("removed".to_owned()),
            Action::Pending { to } => {
                notes.push(format!(
                    "deleted in {}; --delete passes it on",
                    place(to.other())
                ));
            }
            Action::Extra { on } => notes.push(format!("only in {}: left alone", place(*on))),
            Action::Skipped => notes.push("left as it is".to_owned()),
            Action::Conflict(why) => notes.push(why_words(*why, &place)),
            Action::Waiting { on } => notes.push(format!(
                "put together from other lines in {}: compared again once those are written",
                place(*on)
            )),
            Action::Unknown { on } => notes.push(match step.seen.of(*on) {
                Seen::Unknown(why) => format!("not compared: {why}"),
                _ => "not compared".to_owned(),
            }),
        }
        // Which of several layers is written.
        if let Some(Place { to, layer, .. }) = target(self.work, self.link, step) {
            let layers = &self.work.party(self.link, to).stack.layers;
            if layers.len() > 1 {
                notes.push(format!("in {}", layers[layer].label));
            }
        }
        // A name that can take a process over is said when it is about to come in.
        if matches!(step.action, Action::Create { .. }) {
            notes.extend(hijack::reason(step.name.as_str()).map(str::to_owned));
        }
        notes.join(", ")
    }

    /// A value on one side: its fingerprint's first digits, or the value itself where it is
    /// configuration; its version and age as far as the store tells.
    fn state(&self, step: &Step, side: Side) -> String {
        let present = match step.seen.of(side) {
            Seen::Present(present) => present,
            Seen::Absent => return "-".to_owned(),
            Seen::Deleted => return "deleted".to_owned(),
            Seen::Unknown(_) => return "unreadable".to_owned(),
        };
        let configuration = self.configuration(&step.name, side);
        let mut text = configuration.unwrap_or_else(|| present.fingerprint.short());
        let mut about = Vec::new();
        about.extend(self.version(&step.name, side));
        if let Some(modified) = present.modified {
            about.push(age::between(modified, Timestamp::now()));
        }
        if present.derived {
            about.push("derived".to_owned());
        }
        if !about.is_empty() {
            text += &format!(" ({})", about.join(", "));
        }
        text
    }

    /// The store's own name for the state. A version that is only a MAC of ours says nothing more than the
    /// fingerprint.
    fn version(&self, name: &Name, side: Side) -> Option<String> {
        let held = held(self.work, self.link, side, name)?;
        if let Some(revision) = &held.revision {
            return Some(format!("v{}", age::short(revision.as_str())));
        }
        let layer = &self.work.party(self.link, side).stack.layers[held.layer];
        let own = layer.provider.capabilities().own_versions;
        let version = held.meta.version.as_ref().filter(|_| own)?;
        Some(format!("v{}", age::short(version.as_str())))
    }

    /// The value, where the manifest says that it is no secret.
    fn configuration(&self, name: &Name, side: Side) -> Option<String> {
        if !is_configuration(self.work, name) {
            return None;
        }
        let text = held(self.work, self.link, side, name)?
            .value
            .expose_text()?;
        let cut: String = text.chars().take(MOST_SHOWN).collect();
        let more = if cut.len() < text.len() { "…" } else { "" };
        Some(format!("\"{cut}{more}\""))
    }
}

/// The arrow to a side.
fn towards(to: Side) -> char {
    match to {
        Side::Left => '←',
        Side::Right => '→',
    }
}

/// Why a person has to decide, in words.
pub fn why_words<'a>(why: Why, label: &dyn Fn(Side) -> &'a str) -> String {
    match why {
        Why::BothChanged => "changed in both".to_owned(),
        Why::NeverAgreed => "never agreed on".to_owned(),
        // Whether it was put back is not always known: a history may not reach back so far.
        Why::PutBack(side) => format!(
            "{} was written since, an old value may have been put back; changed in {}",
            label(side),
            label(side.other())
        ),
        Why::DeletedAndChanged(side) => format!(
            "deleted in {}, changed in {}",
            label(side),
            label(side.other())
        ),
        Why::Tombstone(side) => format!("deleted in {} before", label(side)),
        Why::TargetChanged(side) => format!("changed in {} alone", label(side)),
        Why::TargetDeleted(side) => format!("deleted in {} alone", label(side)),
        Why::Derived(side) => format!("put together from other lines in {}", label(side)),
    }
}
