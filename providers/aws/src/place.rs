//! What the address of a store means. Pure: reads nothing but what it is given.

use secrets_api::{Error, ErrorKind, Name, Opening, Result};

use crate::SCHEME;

/// The options of an address.
const OPTIONS: [&str; 7] = [
    "region",
    "layout",
    "profile",
    "kms-key-id",
    "recovery-days",
    "role",
    "tags",
];

/// The longest name of a secret (API reference, CreateSecret: "Name").
const NAME_CHARS: usize = 512;

/// How secrets are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One secret that holds a JSON object.
    Document,
    /// One secret for each name.
    Each,
}

/// One place in one account and region.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The document's name or ARN, or the prefix without a final slash.
    pub(crate) id: String,
    pub(crate) layout: Layout,
    /// What the address, the ARN or the environment says; else the profile may.
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    /// The role to take on before anything is asked.
    pub(crate) role: Option<String>,
    /// Encrypts what is created; `None` is the account's own key.
    pub(crate) kms_key: Option<String>,
    /// How long a deleted secret can be restored; `None` is the service's own 30 days.
    pub(crate) recovery_days: Option<i64>,
    /// Given to what is created.
    pub(crate) tags: Vec<(String, String)>,
    /// The canonical address.
    pub(crate) location: String,
}

impl Place {
    pub(crate) fn parse(opening: &Opening<'_>) -> Result<Self> {
        let uri = opening.uri;
        if let Some(option) = uri.unknown_option(&OPTIONS) {
            let message = format!("an AWS store has no option `{option}`");
            return Err(Error::new(ErrorKind::InvalidConfig, message)
                .with_hint(format!("its options are {}", OPTIONS.join(", "))));
        }
        let layout = match uri.option("layout") {
            None | Some("document") => Layout::Document,
            Some("each") => Layout::Each,
            Some(_) => return Err(wrong("layout is `document` or `each`")),
        };
        let written = uri.location();
        let (id, arn_region) = if written.starts_with("arn:") {
            if layout == Layout::Each {
                return Err(wrong("layout=each takes a prefix of names, not an ARN"));
            }
            (written.to_owned(), Some(region_of(written)?))
        } else {
            (name_of(written, layout)?, None)
        };
        let said = uri.option("region").map(str::to_owned);
        if let (Some(said), Some(arn)) = (&said, &arn_region)
            && said != arn
        {
            return Err(wrong(&format!(
                "the ARN is in {arn} and the address says region={said}"
            )));
        }
        let region = said
            .or(arn_region)
            .or_else(|| opening.variable("AWS_REGION").map(str::to_owned))
            .or_else(|| opening.variable("AWS_DEFAULT_REGION").map(str::to_owned));
        if let Some(region) = &region
            && !is_region(region)
        {
            return Err(wrong("the region is no name of one")
                .with_hint("a region is written like `eu-west-1`"));
        }
        let role = uri.option("role").map(str::to_owned);
        if let Some(role) = &role
            && !is_role(role)
        {
            return Err(wrong("role is no ARN of one")
                .with_hint("a role is written `arn:aws:iam::123456789012:role/NAME`"));
        }
        let profile = uri.option("profile").map(str::to_owned);
        let mut place = Self {
            id,
            layout,
            region,
            profile,
            role,
            kms_key: uri.option("kms-key-id").map(str::to_owned),
            recovery_days: uri.option("recovery-days").map(days).transpose()?,
            tags: uri.option("tags").map_or(Ok(Vec::new()), tags)?,
            location: String::new(),
        };
        place.location = place.canonical();
        Ok(place)
    }

    /// What tells this place from all others; how it is created is no part of it.
    fn canonical(&self) -> String {
        let layout = (self.layout == Layout::Each).then_some("each");
        let options = [
            ("region", self.region.as_deref()),
            ("layout", layout),
            ("profile", self.profile.as_deref()),
            ("role", self.role.as_deref()),
        ];
        let mut location = format!("{SCHEME}:{}", self.id);
        let mut sign = '?';
        for (key, value) in options {
            if let Some(value) = value {
                location.push(sign);
                location.push_str(&format!("{key}={value}"));
                sign = '&';
            }
        }
        location
    }

    /// The secret that holds this name, in layout `each`.
    pub(crate) fn secret(&self, name: &Name) -> String {
        format!("{}/{name}", self.id)
    }

    /// What a secret's name is below the prefix, in layout `each`.
    pub(crate) fn below<'a>(&self, secret: &'a str) -> Option<&'a str> {
        secret.strip_prefix(&self.id)?.strip_prefix('/')
    }

    /// How long a name may be below the prefix, where that is shorter than a name may be at all.
    pub(crate) fn name_bytes(&self) -> Option<usize> {
        let left = NAME_CHARS.saturating_sub(self.id.len() + 1);
        (left < Name::MAX_BYTES).then_some(left)
    }

    /// Whether the secret was named by its ARN: such a one cannot be created.
    pub(crate) fn is_arn(&self) -> bool {
        self.id.starts_with("arn:")
    }
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::InvalidConfig, what).with_hint(
        "write `aws:NAME?region=eu-west-1`, or `aws:PREFIX?region=eu-west-1&layout=each`",
    )
}

/// A name, or a prefix without its final slash. The characters are those of the API reference
/// (CreateSecret, "Name"): letters, digits and `/_+=.@-`.
fn name_of(written: &str, layout: Layout) -> Result<String> {
    let name = match layout {
        Layout::Document => written,
        Layout::Each => written.trim_end_matches('/'),
    };
    if name.is_empty() {
        return Err(wrong(match layout {
            Layout::Document => "an AWS store needs the name of its secret",
            Layout::Each => {
                "layout=each needs a prefix: without one it would be all secrets of the account"
            }
        }));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
    if !name.chars().all(fits) {
        return Err(wrong(
            "the name of an AWS secret holds letters, digits and `/_+=.@-` only",
        ));
    }
    let most = match layout {
        Layout::Document => NAME_CHARS,
        // A slash and one character must fit below it.
        Layout::Each => NAME_CHARS - 2,
    };
    if name.len() > most {
        return Err(wrong(&format!(
            "the name has {} characters and an AWS secret's has at most {most}",
            name.len()
        )));
    }
    Ok(name.to_owned())
}

/// The region of a secret's ARN: `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME-RANDOM`.
fn region_of(arn: &str) -> Result<String> {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    let fits = match parts.as_slice() {
        [
            "arn",
            partition,
            "secretsmanager",
            region,
            account,
            "secret",
            name,
        ] => {
            partition.starts_with("aws")
                && is_region(region)
                && is_account(account)
                && name_of(name, Layout::Document).is_ok()
        }
        _ => false,
    };
    if fits {
        return Ok(parts[3].to_owned());
    }
    Err(Error::new(ErrorKind::InvalidConfig, "the ARN is not one of a secret").with_hint(
        "it is written `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-RANDOM`; the secret's name does as well",
    ))
}

fn is_region(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 32 && text.chars().all(fits)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.chars().all(|c| c.is_ascii_digit())
}

fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", partition, "iam", "", account, role] => {
            partition.starts_with("aws") && is_account(account) && role.starts_with("role/")
        }
        _ => false,
    }
}

/// Days of a recovery window (API reference, DeleteSecret: "RecoveryWindowInDays").
fn days(text: &str) -> Result<i64> {
    let days = text.parse().ok().filter(|days| (7..=30).contains(days));
    days.ok_or_else(|| wrong("recovery-days is a number from 7 to 30"))
}

/// `KEY:VALUE,KEY:VALUE`.
fn tags(text: &str) -> Result<Vec<(String, String)>> {
    let pair = |part: &str| {
        let (key, value) = part.split_once(':').filter(|(key, _)| !key.is_empty())?;
        Some((key.to_owned(), value.to_owned()))
    };
    text.split(',')
        .map(|part| pair(part).ok_or_else(|| wrong("tags are written `tags=KEY:VALUE,KEY:VALUE`")))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use secrets_api::StoreUri;
    use secrets_testkit::opening::TestOpening;

    use super::*;

    fn place(text: &str) -> Result<Place> {
        let opening = TestOpening::new().with_variables([("AWS_REGION", "eu-central-1")]);
        Place::parse(&opening.opening(&StoreUri::parse(text).unwrap()))
    }

    #[test]
    fn the_canonical_address_says_what_tells_the_place_from_others() {
        for (written, canonical) in [
            (
                "aws:shop/production",
                "aws:shop/production?region=eu-central-1",
            ),
            (
                "aws:shop?region=eu-west-1&layout=document",
                "aws:shop?region=eu-west-1",
            ),
            (
                "aws:shop/?layout=each&recovery-days=7&tags=a:b",
                "aws:shop?region=eu-central-1&layout=each",
            ),
            (
                "aws:shop?layout=each",
                "aws:shop?region=eu-central-1&layout=each",
            ),
            (
                "aws:arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/x-AbCdEf",
                "aws:arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/x-AbCdEf?region=us-east-1",
            ),
            (
                "aws:x?profile=p&role=arn:aws:iam::123456789012:role/r",
                "aws:x?region=eu-central-1&profile=p&role=arn:aws:iam::123456789012:role/r",
            ),
        ] {
            assert_eq!(place(written).unwrap().location, canonical);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_hint() {
        for text in [
            "aws:",
            "aws:/?layout=each",
            "aws:x y",
            "aws:x?layout=both",
            "aws:x?nonsense=1",
            "aws:x?region=Europe",
            "aws:x?recovery-days=6",
            "aws:x?recovery-days=31",
            "aws:x?tags=a",
            "aws:x?role=admin",
            "aws:arn:aws:secretsmanager:us-east-1:1234:secret:x-AbCdEf",
            "aws:arn:aws:ssm:us-east-1:123456789012:secret:x-AbCdEf",
            "aws:arn:aws:secretsmanager:us-east-1:123456789012:secret:",
            "aws:arn:aws:secretsmanager",
            "aws:arn:aws:secretsmanager:us-east-1:123456789012:secret:x-AbCdEf?region=eu-west-1",
            "aws:arn:aws:secretsmanager:us-east-1:123456789012:secret:x-AbCdEf?layout=each",
            &format!("aws:{}", "x".repeat(513)),
        ] {
            let error = place(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{text}");
            assert!(error.hint().is_some(), "{text}");
        }
    }

    #[test]
    fn a_long_prefix_leaves_less_room_for_names() {
        assert_eq!(place("aws:shop?layout=each").unwrap().name_bytes(), None);
        let long = place(&format!("aws:{}?layout=each", "p".repeat(400))).unwrap();
        assert_eq!(long.name_bytes(), Some(111));
    }
}
