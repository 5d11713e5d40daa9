//! What stands in the place of a resolver without the feature `names`: nothing.

#[derive(Debug, Default)]
pub(crate) struct Resolver {}
