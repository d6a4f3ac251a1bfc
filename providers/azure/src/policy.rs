//! The least that the vault must allow us, as the commands that allow it.
//!
//! Roles: <https://learn.microsoft.com/azure/key-vault/general/rbac-guide#azure-built-in-roles-for-key-vault-data-plane-operations>

use crate::place::Place;

/// Commands for a shell; comments say which of them is needed for what.
pub(crate) fn text(place: &Place) -> String {
    let vault = &place.vault;
    format!(
        "\
# {location}
# who: `az ad sp show --id CLIENT-ID --query id`, or `az ad signed-in-user show --query id`

# to read (list, read, history):
az role assignment create --role \"Key Vault Secrets User\" --assignee OBJECT-ID \\
  --scope \"$(az keyvault show --name {vault} --query id --output tsv)\"

# to write too (set, unset, restore), in place of the role above:
az role assignment create --role \"Key Vault Secrets Officer\" --assignee OBJECT-ID \\
  --scope \"$(az keyvault show --name {vault} --query id --output tsv)\"

# a vault with access policies in place of roles:
# to read:      az keyvault set-policy --name {vault} --object-id OBJECT-ID --secret-permissions get list
# to write too: az keyvault set-policy --name {vault} --object-id OBJECT-ID --secret-permissions get list set delete recover
",
        location = place.location,
    )
}
