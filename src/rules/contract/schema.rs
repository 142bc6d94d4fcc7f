//! What a contract's token endpoint takes and answers, as JSON Schema: for the API's document. `docs/contracts.md` has
//! every response.

use serde_json::Value;

/// A token endpoint of one contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Schemas {
    /// The JSON body of its request. Members that it does not know are ignored. `None` where the request has none that
    /// is read.
    pub request: Option<Value>,
    /// The JSON body of its response to a success.
    pub response: Value,
    /// The statuses of its refusals, but those that a realm chooses.
    pub refusals: Vec<u16>,
}
