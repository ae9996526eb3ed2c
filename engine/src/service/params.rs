//! Where the parameters of a cluster's instances come from.

use crate::error::Error;

/// Parameters were not given: every instance gets default ones. One instance, unless
/// [`RunService::num_instances`](super::RunService::num_instances) says otherwise.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ByDefault;

/// Parameters were given: one instance for each.
#[derive(Clone, Debug)]
pub struct Given<P>(pub(super) Vec<P>);

/// The same parameters for every instance. One instance, unless
/// [`RunService::num_instances`](super::RunService::num_instances) says otherwise.
#[derive(Clone, Debug)]
pub struct Same<P>(pub(super) P);

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ByDefault {}
    impl<P> Sealed for super::Given<P> {}
    impl<P> Sealed for super::Same<P> {}
}

/// What a cluster's instances are made with; not to be implemented by others.
#[diagnostic::on_unimplemented(
    message = "the parameters of the instances are not known",
    note = "`{P}` has no `Default`: give parameters with `instance_params`"
)]
pub trait InstanceParams<P>: sealed::Sealed {
    /// The parameters of each of the instances, `number` of them if that is given.
    ///
    /// # Errors
    /// [`Error::Payload`] when there are fewer than `number`.
    fn into_params(self, number: Option<usize>) -> Result<Vec<P>, Error>;
}

impl<P: Default> InstanceParams<P> for ByDefault {
    fn into_params(self, number: Option<usize>) -> Result<Vec<P>, Error> {
        let number = number.unwrap_or(1);
        Ok((0..number).map(|_| P::default()).collect())
    }
}

impl<P: Clone> InstanceParams<P> for Same<P> {
    fn into_params(self, number: Option<usize>) -> Result<Vec<P>, Error> {
        Ok(vec![self.0; number.unwrap_or(1)])
    }
}

impl<P> InstanceParams<P> for Given<P> {
    fn into_params(self, number: Option<usize>) -> Result<Vec<P>, Error> {
        let mut params = self.0;
        if let Some(number) = number {
            if number > params.len() {
                return Err(Error::TooFewParams {
                    wanted: number,
                    given: params.len(),
                });
            }
            params.truncate(number);
        }
        Ok(params)
    }
}
