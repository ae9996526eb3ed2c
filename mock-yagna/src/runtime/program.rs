//! Programs written in Rust that stand for an image and live in the network's own time.

pub use mock_yagna_shell::{Exit, Machine, Printed, RunCommand, Shell, Stream};

use crate::rng::Seed;

/// Makes one [`Program`] for every activity that deploys the image.
pub trait ProgramFactory: Send + Sync {
    /// A fresh program; `seed` differs from activity to activity.
    fn create(&self, seed: Seed) -> Box<dyn Program>;
}

/// Closures that make a program are factories.
impl<F, P> ProgramFactory for F
where
    F: Fn(Seed) -> P + Send + Sync,
    P: Program + 'static,
{
    fn create(&self, seed: Seed) -> Box<dyn Program> {
        Box::new(self(seed))
    }
}

/// What `run` commands of one activity execute.
pub trait Program: Send {
    /// Executes one command. Synchronous and quick: the time it pretends to need goes into
    /// [`Exit::takes`], and the result appears so much later on the network's clock.
    fn run(&mut self, command: &RunCommand<'_>, machine: &mut Machine<'_>) -> Exit;

    /// Does what runs in the background between commands, up to [`Machine::now`]. Called before the
    /// files are looked at from outside, not before [`Program::run`]; by default nothing runs.
    fn catch_up(&mut self, machine: &mut Machine<'_>) {
        let _ = machine;
    }

    /// The same program in the same state, which from now on lives for itself: for states of the network that are
    /// kept. `None`, the default: it cannot be copied, and no state is kept while its activity lives.
    fn copied(&self) -> Option<Box<dyn Program>> {
        None
    }
}

impl Program for Shell {
    fn run(&mut self, command: &RunCommand<'_>, machine: &mut Machine<'_>) -> Exit {
        Shell::run(self, command, machine)
    }

    fn catch_up(&mut self, machine: &mut Machine<'_>) {
        Shell::catch_up(self, machine);
    }

    fn copied(&self) -> Option<Box<dyn Program>> {
        Some(Box::new(self.clone()))
    }
}
