//! The least IAM policy under which a store works. Pure.

use serde_json::{Value, json};

use crate::place::{Layout, Place};

/// The policy, as IAM takes it, with ACCOUNT (and REGION, where none is known) to be filled in.
pub(crate) fn least(place: &Place) -> String {
    let mut actions = vec![
        "secretsmanager:GetSecretValue",
        "secretsmanager:DescribeSecret",
        "secretsmanager:ListSecretVersionIds",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
        "secretsmanager:CreateSecret",
    ];
    if !place.tags.is_empty() {
        actions.push("secretsmanager:TagResource");
    }
    if place.layout == Layout::Each {
        actions.extend([
            "secretsmanager:DeleteSecret",
            "secretsmanager:RestoreSecret",
        ]);
    }
    let mut statements = vec![allow("Secrets", &json!(actions), resources(place))];
    if place.layout == Layout::Each {
        // Neither takes a resource (Service Authorization Reference, AWS Secrets Manager); what a batch
        // reads is allowed above, secret by secret.
        let actions = json!([
            "secretsmanager:BatchGetSecretValue",
            "secretsmanager:ListSecrets",
        ]);
        statements.push(allow("BatchesAndLists", &actions, json!("*")));
    }
    if let Some(key) = &place.kms_key {
        let actions = json!(["kms:Decrypt", "kms:GenerateDataKey"]);
        statements.push(allow("Key", &actions, json!(key_arn(place, key))));
    }
    let policy = json!({ "Version": "2012-10-17", "Statement": statements });
    serde_json::to_string_pretty(&policy).unwrap_or_default()
}

fn allow(sid: &str, actions: &Value, resources: Value) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources })
}

fn region(place: &Place) -> &str {
    place.region.as_deref().unwrap_or("REGION")
}

/// China and the US government have clouds of their own.
fn partition(place: &Place) -> &'static str {
    match region(place) {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// A secret's ARN ends in a hyphen and six characters nobody knows before it is created.
fn resources(place: &Place) -> Value {
    if place.is_arn() {
        return json!(place.id);
    }
    let arn = format!(
        "arn:{}:secretsmanager:{}:ACCOUNT:secret:{}",
        partition(place),
        region(place),
        place.id
    );
    match place.layout {
        Layout::Document => json!([arn, format!("{arn}-??????")]),
        Layout::Each => json!(format!("{arn}/*")),
    }
}

fn key_arn(place: &Place, key: &str) -> String {
    if key.starts_with("arn:") {
        return key.to_owned();
    }
    let what = if key.starts_with("alias/") { "*" } else { key };
    format!(
        "arn:{}:kms:{}:ACCOUNT:key/{what}",
        partition(place),
        region(place)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use secrets_api::StoreUri;
    use secrets_testkit::opening::TestOpening;

    use super::*;

    fn policy(uri: &str) -> Value {
        let opening = TestOpening::new();
        let place = Place::parse(&opening.opening(&StoreUri::parse(uri).unwrap())).unwrap();
        serde_json::from_str(&least(&place)).unwrap()
    }

    #[test]
    fn a_document_needs_its_one_secret_and_no_lists() {
        let policy = policy("aws:shop/production?region=eu-west-1");
        let statements = policy["Statement"].as_array().unwrap();
        assert_eq!(statements.len(), 1);
        assert_eq!(
            statements[0]["Resource"],
            json!([
                "arn:aws:secretsmanager:eu-west-1:ACCOUNT:secret:shop/production",
                "arn:aws:secretsmanager:eu-west-1:ACCOUNT:secret:shop/production-??????"
            ])
        );
        assert!(!policy.to_string().contains("DeleteSecret"));
    }

    #[test]
    fn single_secrets_need_what_is_below_the_prefix_and_batches() {
        let policy = policy("aws:shop?layout=each&region=cn-north-1&kms-key-id=alias/shop");
        let statements = policy["Statement"].as_array().unwrap();
        assert_eq!(
            statements[0]["Resource"],
            "arn:aws-cn:secretsmanager:cn-north-1:ACCOUNT:secret:shop/*"
        );
        assert_eq!(statements[1]["Resource"], "*");
        assert_eq!(
            statements[2]["Resource"],
            "arn:aws-cn:kms:cn-north-1:ACCOUNT:key/*"
        );
    }
}
