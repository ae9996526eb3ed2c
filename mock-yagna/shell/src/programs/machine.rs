//! What a machine says about itself: `uname`, `id`, `hostname`, `nproc`, `free`, `ps`.

use super::{Call, Status};
use crate::disk::{KERNEL, MEMORY};

impl Call<'_, '_, '_> {
    pub(super) fn machine(&mut self) -> Status {
        let host = self.session.machine.hostname.to_owned();
        let text = match self.name {
            "uname" => return self.uname(&host),
            "arch" => "x86_64\n".to_owned(),
            "hostname" => format!("{host}\n"),
            "whoami" => "root\n".to_owned(),
            "groups" => "root\n".to_owned(),
            "id" => {
                let options = self.options("ugnG", "", &[("user", 'u'), ("group", 'g'), ("name", 'n')])?;
                match (options.flags.is_empty(), options.has('n')) {
                    (true, _) => "uid=0(root) gid=0(root) groups=0(root)\n".to_owned(),
                    (false, true) => "root\n".to_owned(),
                    (false, false) => "0\n".to_owned(),
                }
            }
            "nproc" => "1\n".to_owned(),
            "free" => {
                let options = self.options("kmghb", "", &[])?;
                let shift = match () {
                    () if options.has('m') => 10,
                    () if options.has('g') || options.has('h') => 20,
                    () => 0,
                };
                let unit = if options.has('h') { "Gi" } else { "" };
                let show = |kib: u64| format!("{}{unit}", kib >> shift);
                let (all, half) = (show(MEMORY), show(MEMORY / 2));
                let zero = show(0);
                let head = "               total        used        free      shared  buff/cache   available";
                let memory = format!("Mem:    {all:>12}{half:>12}{half:>12}{zero:>12}{zero:>12}{half:>12}");
                format!("{head}\n{memory}\nSwap:   {zero:>12}{zero:>12}{zero:>12}\n")
            }
            "ps" => "    PID TTY          TIME CMD\n      1 ?        00:00:00 init\n     99 ?        00:00:00 sh\n\
                     \x20   100 ?        00:00:00 ps\n"
                .to_owned(),
            _ => return Err(self.fail(127, "not simulated")),
        };
        self.out(text);
        Ok(0)
    }

    fn uname(&mut self, host: &str) -> Status {
        let long = [
            ("all", 'a'),
            ("kernel-name", 's'),
            ("machine", 'm'),
            ("kernel-release", 'r'),
        ];
        let options = self.options("asnrvmpio", "", &long)?;
        let parts = [
            ('s', "Linux"),
            ('n', host),
            ('r', KERNEL),
            ('v', "#1 SMP"),
            ('m', "x86_64"),
            ('p', "x86_64"),
            ('i', "x86_64"),
            ('o', "GNU/Linux"),
        ];
        let wanted = |letter: char| match () {
            () if options.has('a') => !matches!(letter, 'p' | 'i'),
            () if options.flags.is_empty() => letter == 's',
            () => options.has(letter),
        };
        let parts: Vec<&str> = parts
            .into_iter()
            .filter(|(letter, _)| wanted(*letter))
            .map(|(_, p)| p)
            .collect();
        self.out(format!("{}\n", parts.join(" ")));
        Ok(0)
    }
}
