//! Where a store's secrets are in a project, and how its names and the service's ids go together. Pure: no
//! request is made here.

use secrets_api::{Error, ErrorKind, Name, Result, StoreUri};

use crate::SCHEME;

/// The most characters of a secret's id: letters, digits, `-` and `_`.
/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/create>
const ID_BYTES: usize = 255;

/// The most labels of a secret, and the most characters of a label's key or value.
/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets#Secret>
const LABELS: usize = 64;
const LABEL_CHARS: usize = 63;

/// What is between the prefix and the name. A name never holds it, so no two names meet in one id.
const BETWEEN: char = '-';

const FORM: &str =
    "write `gcp:PROJECT` or `gcp:PROJECT/PREFIX`, such as `gcp:shop-production/django`";

/// Where new secrets are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Replication {
    /// Where Google sees fit.
    Automatic,
    /// In these locations.
    In(Vec<String>),
    /// In the store's own region: a regional secret has no policy.
    Regional,
}

/// A project, or a region of it, and which of its secrets are the store's.
#[derive(Debug)]
pub(crate) struct Place {
    /// `gcp:PROJECT[/PREFIX][?location=…]`.
    pub(crate) location: String,
    pub(crate) project: String,
    /// What secrets are kept under: `projects/P` or `projects/P/locations/L`.
    pub(crate) parent: String,
    pub(crate) region: Option<String>,
    prefix: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) replication: Replication,
}

/// What an id is to the store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A secret of this name.
    Ours(Name),
    /// An id that is no name, in a store of the whole project.
    Foreign,
    /// Another store's: it has another prefix, or a longer one.
    Others,
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

impl Place {
    pub(crate) fn new(uri: &StoreUri) -> Result<Self> {
        if let Some(option) = uri.unknown_option(&["location", "labels", "replication"]) {
            let message = format!("a Google store has no option `{option}`");
            return Err(
                wrong(message).with_hint("its options are location, labels and replication")
            );
        }
        let (project, prefix) = match uri.location().split_once('/') {
            Some((project, prefix)) => (project, Some(prefix)),
            None => (uri.location(), None),
        };
        check_project(project)?;
        prefix.map_or(Ok(()), check_prefix)?;
        let region = uri.option("location");
        region.map_or(Ok(()), |region| check_location(region, "location"))?;
        let labels = uri.option("labels").map_or(Ok(Vec::new()), labels)?;
        let replication = replication(uri.option("replication"), region)?;
        let mut location = format!("{SCHEME}:{}", uri.location());
        let mut parent = format!("projects/{project}");
        if let Some(region) = region {
            location.push_str(&format!("?location={region}"));
            parent.push_str(&format!("/locations/{region}"));
        }
        Ok(Self {
            location,
            project: project.to_owned(),
            parent,
            region: region.map(str::to_owned),
            prefix: prefix.map(str::to_owned),
            labels,
            replication,
        })
    }

    /// Where the service is asked.
    /// <https://cloud.google.com/secret-manager/docs/reference/rest> (service and regional endpoints)
    pub(crate) fn endpoint(&self) -> String {
        match &self.region {
            None => "https://secretmanager.googleapis.com".to_owned(),
            Some(region) => format!("https://secretmanager.{region}.rep.googleapis.com"),
        }
    }

    /// The id of a secret.
    pub(crate) fn id(&self, name: &Name) -> String {
        match &self.prefix {
            None => name.to_string(),
            Some(prefix) => format!("{prefix}{BETWEEN}{name}"),
        }
    }

    /// How the resource names of the store's secrets begin, in a policy: by the project's number.
    pub(crate) fn beginning(&self, number: &str) -> Option<String> {
        let prefix = self.prefix.as_ref()?;
        let parent = self.parent.replacen(&self.project, number, 1);
        Some(format!("{parent}/secrets/{prefix}{BETWEEN}"))
    }

    /// The resource name of a secret.
    pub(crate) fn secret(&self, name: &Name) -> String {
        format!("{}/secrets/{}", self.parent, self.id(name))
    }

    /// The resource name of a version: a number, or `latest`.
    pub(crate) fn version(&self, name: &Name, version: &str) -> String {
        format!("{}/versions/{version}", self.secret(name))
    }

    /// What a resource name's id is to this store. The project is told by its number there, so only the
    /// last part says anything.
    pub(crate) fn entry(&self, resource: &str) -> Entry {
        let id = last_part(resource);
        let Some(prefix) = &self.prefix else {
            return Name::new(id).map_or(Entry::Foreign, Entry::Ours);
        };
        id.strip_prefix(prefix.as_str())
            .and_then(|rest| rest.strip_prefix(BETWEEN))
            .and_then(|rest| Name::new(rest).ok())
            .map_or(Entry::Others, Entry::Ours)
    }

    /// The most bytes of a name, where the prefix leaves fewer than a name may have.
    pub(crate) fn name_bytes(&self) -> Option<usize> {
        let prefix = self.prefix.as_ref()?;
        Some(ID_BYTES - prefix.len() - BETWEEN.len_utf8())
    }

    /// Whether the id of this name is longer than the service's longest: then nothing is there.
    pub(crate) fn is_too_long(&self, name: &Name) -> bool {
        self.name_bytes()
            .is_some_and(|most| name.as_str().len() > most)
    }
}

/// What is after the last slash.
pub(crate) fn last_part(resource: &str) -> &str {
    resource.rsplit('/').next().unwrap_or(resource)
}

/// An id, a number, or an id within a domain (`example.com:shop`).
/// <https://cloud.google.com/resource-manager/docs/creating-managing-projects>
fn check_project(project: &str) -> Result<()> {
    let fits =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | ':');
    if project.is_empty() {
        return Err(wrong("a Google store names a project").with_hint(FORM));
    }
    if !project.chars().all(fits) || !project.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        let message = "a project's id holds lower-case letters, digits and `-`";
        return Err(wrong(message).with_hint(FORM));
    }
    Ok(())
}

fn check_prefix(prefix: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if prefix.is_empty() || !prefix.chars().all(fits) {
        let message = "a prefix holds letters, digits, `-` and `_`, as ids of secrets do";
        return Err(wrong(message).with_hint(FORM));
    }
    // Half of an id at the most: the names have to go somewhere.
    if prefix.len() > ID_BYTES / 2 {
        let most = ID_BYTES / 2;
        return Err(wrong(format!("a prefix has at most {most} characters")).with_hint(FORM));
    }
    Ok(())
}

/// A location becomes a part of a host's name: nothing else may come of it.
fn check_location(location: &str, option: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = location.starts_with(|c: char| c.is_ascii_lowercase())
        && location.chars().all(fits)
        && location.len() <= 63;
    if good {
        return Ok(());
    }
    let message = format!("`{option}` names no location of Google's");
    Err(wrong(message).with_hint("locations are written like `europe-west3`"))
}

fn replication(option: Option<&str>, region: Option<&str>) -> Result<Replication> {
    match (option, region) {
        (Some(_), Some(_)) => Err(wrong("a regional store has no replication")
            .with_hint("name `location` or `replication`, not both")),
        (None, Some(_)) => Ok(Replication::Regional),
        (None | Some("automatic"), None) => Ok(Replication::Automatic),
        (Some(list), None) => {
            let locations: Vec<String> = list.split('+').map(str::to_owned).collect();
            locations
                .iter()
                .try_for_each(|location| check_location(location, "replication"))?;
            Ok(Replication::In(locations))
        }
    }
}

/// `KEY:VALUE,…`, each as the service takes them.
fn labels(option: &str) -> Result<Vec<(String, String)>> {
    let lower = |c: char| c.is_lowercase() || c.is_alphabetic() && !c.is_uppercase();
    let fits = |text: &str| {
        text.chars().count() <= LABEL_CHARS
            && text
                .chars()
                .all(|c| lower(c) || c.is_numeric() || matches!(c, '_' | '-'))
    };
    let hint = "write `labels=team:shop,stage:production`: lower-case letters, digits, `_` and `-`";
    let mut found: Vec<(String, String)> = Vec::new();
    for pair in option.split(',') {
        let (key, value) = pair
            .split_once(':')
            .filter(|(key, value)| key.starts_with(lower) && fits(key) && fits(value))
            .ok_or_else(|| {
                wrong("`labels` holds no labels as Google takes them").with_hint(hint)
            })?;
        if found.iter().any(|(known, _)| known == key) {
            return Err(wrong(format!("the label `{key}` is given twice")));
        }
        found.push((key.to_owned(), value.to_owned()));
    }
    if found.len() > LABELS {
        return Err(wrong(format!("a secret has at most {LABELS} labels")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn place(uri: &str) -> Result<Place> {
        Place::new(&StoreUri::parse(uri).unwrap())
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn a_name_and_its_id_go_together_with_and_without_a_prefix() {
        for (uri, id) in [
            ("gcp:shop", "SECRET_KEY"),
            ("gcp:shop/django", "django-SECRET_KEY"),
            ("gcp:shop/a-b_c", "a-b_c-SECRET_KEY"),
        ] {
            let place = place(uri).unwrap();
            assert_eq!(place.id(&name("SECRET_KEY")), id);
            let told = format!("projects/123/secrets/{id}");
            assert_eq!(place.entry(&told), Entry::Ours(name("SECRET_KEY")));
        }
    }

    #[test]
    fn ids_of_other_prefixes_and_of_longer_ones_are_others() {
        let place = place("gcp:shop/app").unwrap();
        for id in [
            "X",
            "app",
            "app-",
            "app-b-X",
            "application-X",
            "app-1X",
            "web-X",
        ] {
            assert_eq!(place.entry(id), Entry::Others, "{id}");
        }
    }

    #[test]
    fn ids_that_are_no_names_are_foreign_in_a_store_of_the_whole_project() {
        let place = place("gcp:shop").unwrap();
        for id in ["app-X", "1X", "django-secret-key"] {
            assert_eq!(place.entry(id), Entry::Foreign, "{id}");
        }
    }

    #[test]
    fn a_region_changes_parent_endpoint_and_location() {
        let place = place("gcp:shop/app?location=europe-west3&labels=team:shop").unwrap();
        assert_eq!(place.location, "gcp:shop/app?location=europe-west3");
        assert_eq!(place.parent, "projects/shop/locations/europe-west3");
        assert_eq!(
            place.endpoint(),
            "https://secretmanager.europe-west3.rep.googleapis.com"
        );
        assert_eq!(place.replication, Replication::Regional);
        assert_eq!(place.labels, [("team".to_owned(), "shop".to_owned())]);
    }

    #[test]
    fn names_may_be_as_long_as_the_prefix_leaves_room() {
        assert_eq!(place("gcp:shop").unwrap().name_bytes(), None);
        let place = place("gcp:shop/django").unwrap();
        assert_eq!(place.name_bytes(), Some(248));
        let longest = name(&"L".repeat(248));
        assert_eq!(place.id(&longest).len(), ID_BYTES);
        assert!(!place.is_too_long(&longest) && place.is_too_long(&name(&"L".repeat(249))));
    }

    #[test]
    fn addresses_that_make_no_sense_are_refused_with_a_hint() {
        for uri in [
            "gcp:",
            "gcp:/prefix",
            "gcp:Shop",
            "gcp:sh op",
            "gcp:shop/",
            "gcp:shop/a/b",
            "gcp:shop/a.b",
            "gcp:shop/..%2f",
            "gcp:shop?location=Europe",
            "gcp:shop?location=evil.example.com",
            "gcp:shop?location=x/y",
            "gcp:shop?replication=here+There",
            "gcp:shop?replication=",
            "gcp:shop?location=europe-west3&replication=automatic",
            "gcp:shop?labels=team",
            "gcp:shop?labels=Team:x",
            "gcp:shop?regoin=x",
        ] {
            let error = place(uri).expect_err(uri);
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{uri}");
            assert!(error.hint().is_some(), "{uri}");
        }
        assert!(place(&format!("gcp:shop/{}", "p".repeat(128))).is_err());
        assert!(place("gcp:shop?labels=a:1,a:2").is_err());
    }

    #[test]
    fn projects_within_a_domain_and_by_number_are_projects() {
        for project in ["shop-production", "example.com:shop", "123456789012"] {
            assert!(place(&format!("gcp:{project}")).is_ok(), "{project}");
        }
    }
}
