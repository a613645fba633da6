//! A mapping as a resource: its settings, its state (esm-semantics §2), and where it comes from.

use uuid::Uuid;

use crate::configuration::Configuration;

/// One event source mapping as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Kept across restarts.
    pub uuid: Uuid,
    /// Its settings.
    pub configuration: Configuration,
    /// What it is doing.
    pub state: MappingState,
    /// Unix time of the last change of its settings.
    pub last_modified_ms: u64,
    /// Who made it.
    pub origin: Origin,
    /// Why it does not run with these settings, though it should. It is tried again.
    pub problem: Option<String>,
}

/// Lambda's states of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingState {
    /// It was just made, and does not run yet.
    Creating,
    /// It begins to poll.
    Enabling,
    /// It polls.
    Enabled,
    /// It finishes what it holds.
    Disabling,
    /// It does not poll.
    Disabled,
    /// New settings are coming into force.
    Updating,
    /// It finishes what it holds, and is gone then.
    Deleting,
}

impl MappingState {
    /// Lambda's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Enabling => "Enabling",
            Self::Enabled => "Enabled",
            Self::Disabling => "Disabling",
            Self::Disabled => "Disabled",
            Self::Updating => "Updating",
            Self::Deleting => "Deleting",
        }
    }

    /// Whether it is on its way to another state: then it can be neither changed nor deleted.
    #[must_use]
    pub fn is_busy(self) -> bool {
        !matches!(self, Self::Enabled | Self::Disabled)
    }
}

/// Who made a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The config file names it: at each start its settings are the config's, and without that entry it goes.
    Config,
    /// Somebody made it through the API: it stays until somebody deletes it.
    Api,
}

impl Origin {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Api => "api",
        }
    }
}
