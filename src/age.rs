//! Times and versions, short, for tables.

use jiff::Timestamp;

/// How long ago `then` was, in its largest unit: `3d`, `5h`, `12min`, `40s`.
pub fn between(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    match seconds {
        s if s < 120 => format!("{s}s"),
        s if s < 2 * 3600 => format!("{}min", s / 60),
        s if s < 48 * 3600 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

/// The first eight characters of a version.
pub fn short(version: &str) -> String {
    version.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_their_largest_unit() {
        let at = |s| Timestamp::from_second(s).unwrap();
        for (seconds, text) in [
            (5, "5s"),
            (119, "119s"),
            (120, "2min"),
            (7200, "2h"),
            (172_800, "2d"),
            (-9, "0s"),
        ] {
            assert_eq!(between(at(1_000_000), at(1_000_000 + seconds)), text);
        }
    }
}
