//! AWS KMS for tests: LocalStack, and a proxy before it that fails when a test says so.

mod caller;
mod localstack;
mod proxy;

pub use caller::Caller;
pub use localstack::LocalStack;
pub use proxy::{Call, Fault, FaultProxy, Foreign, RuleId, Says, When};
