//! The command lines of the service, as the executables and the simulation understand them.

use clap::{Parser, ValueEnum};

/// What `simple_service` is asked to do: exactly one of the options.
#[derive(Debug, Parser)]
#[command(
    name = "simple_service",
    about = "Stores observations and answers questions about them"
)]
// A fixed width: what is printed must not depend on the terminal.
#[command(term_width = 100)]
#[group(required = true, multiple = false)]
pub struct SimpleService {
    /// Make the database, unless it exists (the other commands do so on first use)
    #[arg(long)]
    init: bool,
    /// Store one observed value
    #[arg(long, value_name = "VALUE", value_parser = finite, allow_hyphen_values = true)]
    add: Option<f64>,
    /// Draw a plot of the observations and print the path of the PNG file
    #[arg(long, value_name = "KIND")]
    plot: Option<PlotKind>,
    /// Print all observations as JSON
    #[arg(long)]
    dump: bool,
    /// Print statistics of the observations as JSON
    #[arg(long)]
    stats: bool,
}

/// What `simulate_observations_ctl` is asked to do: exactly one of the options.
#[derive(Debug, Parser)]
#[command(
    name = "simulate_observations_ctl",
    about = "Starts and stops the simulated observations",
    term_width = 100
)]
#[group(required = true, multiple = false)]
pub struct Control {
    /// Start observing, once a second, in the background
    #[arg(long)]
    pub start: bool,
    /// Stop observing
    #[arg(long)]
    pub stop: bool,
}

/// One request to the service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Make the database.
    Init,
    /// Store a value.
    Add(f64),
    /// Draw a plot.
    Plot(PlotKind),
    /// Print everything stored.
    Dump,
    /// Print statistics.
    Stats,
}

/// The two plots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlotKind {
    /// The values over time
    Time,
    /// The distribution of the values
    Dist,
}

impl SimpleService {
    /// The request that the command line stands for.
    pub fn command(&self) -> Command {
        match *self {
            SimpleService {
                add: Some(value), ..
            } => Command::Add(value),
            SimpleService {
                plot: Some(kind), ..
            } => Command::Plot(kind),
            SimpleService { dump: true, .. } => Command::Dump,
            SimpleService { stats: true, .. } => Command::Stats,
            SimpleService { .. } => Command::Init,
        }
    }
}

impl PlotKind {
    /// The file that the plot is written to. Always the same, so that a service that is asked
    /// for hours does not fill its disk.
    pub fn file_name(self) -> &'static str {
        match self {
            PlotKind::Time => "time.png",
            PlotKind::Dist => "dist.png",
        }
    }
}

fn finite(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err("not a finite number".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Command, clap::Error> {
        SimpleService::try_parse_from([&["simple_service"], arguments].concat())
            .map(|parsed| parsed.command())
    }

    #[test]
    fn each_option_is_one_command() {
        let commands = [
            (&["--init"][..], Command::Init),
            (&["--add", "12.5"], Command::Add(12.5)),
            (&["--add", "-1e3"], Command::Add(-1000.0)),
            (&["--add=-0.5"], Command::Add(-0.5)),
            (&["--plot", "time"], Command::Plot(PlotKind::Time)),
            (&["--plot", "dist"], Command::Plot(PlotKind::Dist)),
            (&["--dump"], Command::Dump),
            (&["--stats"], Command::Stats),
        ];
        for (arguments, command) in commands {
            assert_eq!(parse(arguments).ok(), Some(command), "{arguments:?}");
        }
    }

    #[test]
    fn no_option_two_options_and_bad_values_are_refused() {
        for arguments in [
            &[][..],
            &["--init", "--stats"],
            &["--add", "1", "--dump"],
            &["--add", "1", "--add", "2"],
            &["--add"],
            &["--add", "NaN"],
            &["--add", "inf"],
            &["--add", "-inf"],
            &["--add", "1e999"],
            &["--add", "fourteen"],
            &["--plot", "pie"],
            &["--stats", "now"],
        ] {
            assert_eq!(
                parse(arguments).err().map(|e| e.exit_code()),
                Some(2),
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn the_daemon_is_either_started_or_stopped() {
        for (arguments, fine) in [
            (&["ctl"][..], false),
            (&["ctl", "--start"], true),
            (&["ctl", "--stop"], true),
            (&["ctl", "--start", "--stop"], false),
        ] {
            assert_eq!(
                Control::try_parse_from(arguments).is_ok(),
                fine,
                "{arguments:?}"
            );
        }
    }
}
