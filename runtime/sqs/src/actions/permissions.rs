//! `AddPermission` and `RemovePermission`: statements of a queue's policy, which is kept and not enforced.

use crate::actions::{Actions, Caller, required};
use crate::error::{ACTIONS_MAX, ActionError};
use crate::wire::{AddPermissionRequest, RemovePermissionRequest};

const LABEL: &str = "Label";

impl Actions {
    pub(super) async fn add_permission(
        &self,
        caller: Caller<'_>,
        request: AddPermissionRequest,
    ) -> Result<(), ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let label = required(request.label, LABEL)?;
        let (accounts, actions) = (request.account_ids.unwrap_or_default().0, request.actions.unwrap_or_default().0);
        if actions.is_empty() {
            return Err(ActionError::MissingParameter { name: "Actions" });
        }
        if accounts.is_empty() || !accounts.iter().all(|account| is_account(account)) {
            let (value, reason) = (format!("[{}]", accounts.join(", ")), "Unable to verify.".into());
            return Err(ActionError::InvalidParameter { name: "PrincipalId", value, reason });
        }
        if actions.len() > ACTIONS_MAX {
            return Err(ActionError::TooManyActions { count: actions.len() });
        }
        Ok(queue.add_permission(&label, &accounts, &actions).await?)
    }

    pub(super) async fn remove_permission(
        &self,
        caller: Caller<'_>,
        request: RemovePermissionRequest,
    ) -> Result<(), ActionError> {
        let queue = self.queue(caller, request.queue_url.as_deref())?;
        let label = required(request.label, LABEL)?;
        Ok(queue.remove_permission(&label).await?)
    }
}

/// Nobody's account can be looked up here, so its form is all that is checked.
fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
