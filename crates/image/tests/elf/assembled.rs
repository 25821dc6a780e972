//! Small ELF files, put together part by part for tests: of both classes and byte orders, with what a loader reads and with
//! what stripping takes out.

/// A section.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    /// The section that it links to, and the one that it is about.
    pub(crate) link: &'static str,
    pub(crate) about: &'static str,
    pub(crate) info: u32,
    pub(crate) entry_size: u64,
    pub(crate) alignment: u64,
    pub(crate) data: Vec<u8>,
}

/// A file.
#[derive(Clone)]
pub(crate) struct Assembly {
    pub(crate) is_64: bool,
    pub(crate) is_big_endian: bool,
    pub(crate) kind: u16,
    pub(crate) machine: u16,
    pub(crate) interpreter: Option<&'static str>,
    /// Tags and texts of the dynamic section.
    pub(crate) dynamic: Vec<(u64, &'static str)>,
    /// What is loaded besides: texts of the program.
    pub(crate) texts: Vec<u8>,
    /// What is not loaded, in order, but for the names of sections.
    pub(crate) parts: Vec<Part>,
    pub(crate) appended: Vec<u8>,
}

pub(crate) const NEEDED: u64 = 1;
pub(crate) const SONAME: u64 = 14;
pub(crate) const RPATH: u64 = 15;
pub(crate) const RUNPATH: u64 = 29;

pub(crate) const PROGBITS: u32 = 1;
pub(crate) const SYMTAB: u32 = 2;
pub(crate) const STRTAB: u32 = 3;
pub(crate) const RELA: u32 = 4;
pub(crate) const GROUP: u32 = 17;

/// A section that is not loaded.
pub(crate) fn part(name: &'static str, kind: u32, data: &[u8]) -> Part {
    Part { name, kind, flags: 0, link: "", about: "", info: 0, entry_size: 0, alignment: 1, data: data.to_vec() }
}

/// A library, or with an interpreter a program, that needs others; without symbols.
pub(crate) fn library(dynamic: &[(u64, &'static str)]) -> Assembly {
    Assembly {
        is_64: true,
        is_big_endian: false,
        kind: 3,
        machine: 62,
        interpreter: None,
        dynamic: dynamic.to_vec(),
        texts: b"some text\0".to_vec(),
        parts: vec![part(".comment", PROGBITS, b"GCC: (Debian 12.2.0-14) 12.2.0\0")],
        appended: Vec::new(),
    }
}

pub(crate) fn program(dynamic: &[(u64, &'static str)]) -> Assembly {
    Assembly { interpreter: Some("/lib64/ld-linux-x86-64.so.2"), ..library(dynamic) }
}

impl Assembly {
    /// The same with debug information and a table of symbols.
    #[must_use]
    pub(crate) fn with_symbols(mut self) -> Self {
        let symbols = self.symbols(&[("", 0, 0), ("main", 0x12, 1)]);
        self.parts.push(part(".debug_info", PROGBITS, &[0x5a; 700]));
        self.parts.push(part(".debug_str", PROGBITS, b"int\0char\0"));
        self.parts.push(Part {
            link: ".strtab",
            info: 1,
            entry_size: if self.is_64 { 24 } else { 16 },
            alignment: 8,
            ..part(".symtab", SYMTAB, &symbols)
        });
        self.parts.push(part(".strtab", STRTAB, b"\0main\0"));
        self
    }

    /// A table of symbols: name, binding and type, section. Names are those of a table that has them in order.
    pub(crate) fn symbols(&self, all: &[(&str, u8, u16)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut name_at = 1;
        for (name, info, section) in all {
            let place = if name.is_empty() { 0 } else { name_at };
            name_at += if name.is_empty() { 0 } else { u32::try_from(name.len()).expect("short") + 1 };
            out.extend(self.word(place));
            let (value, size) = (self.native(0x10), self.native(4));
            let section = if self.is_big_endian { section.to_be_bytes() } else { section.to_le_bytes() };
            if self.is_64 {
                out.extend([&[*info, 0][..], &section, &value, &size].concat());
            } else {
                out.extend([&value[..], &size, &[*info, 0], &section].concat());
            }
        }
        out
    }

    pub(crate) fn word(&self, value: u32) -> [u8; 4] {
        if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(crate) fn native(&self, value: u64) -> Vec<u8> {
        match (self.is_64, self.is_big_endian) {
            (true, true) => value.to_be_bytes().to_vec(),
            (true, false) => value.to_le_bytes().to_vec(),
            (false, _) => self.word(u32::try_from(value).expect("32 bits")).to_vec(),
        }
    }

    /// What is loaded: sections that lie behind each other from `start` on, at the addresses of their offsets.
    fn loaded(&self, start: usize) -> Vec<Part> {
        let mut strings = vec![0];
        let mut entries = Vec::new();
        for (tag, text) in &self.dynamic {
            entries.push((*tag, strings.len() as u64));
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
        }
        let loaded = |name, kind, data: &[u8]| Part { flags: 2, ..part(name, kind, data) };
        let mut parts = vec![loaded(".text", PROGBITS, &[0xc3; 16]), loaded(".rodata", PROGBITS, &self.texts)];
        if let Some(interpreter) = self.interpreter {
            parts.push(loaded(".interp", PROGBITS, &[interpreter.as_bytes(), b"\0"].concat()));
        }
        if !self.dynamic.is_empty() {
            let at = start + parts.iter().map(|part| part.data.len()).sum::<usize>();
            // DT_STRTAB, DT_STRSZ, DT_NULL.
            entries.extend([(5, at as u64), (10, strings.len() as u64), (0, 0)]);
            parts.push(loaded(".dynstr", STRTAB, &strings));
            let bytes: Vec<u8> =
                entries.iter().flat_map(|(tag, value)| [self.native(*tag), self.native(*value)].concat()).collect();
            parts.push(Part { link: ".dynstr", ..loaded(".dynamic", 6, &bytes) });
        }
        parts
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (header, program_header, section_header) = if self.is_64 { (64, 56, 64) } else { (52, 32, 40) };
        let is_linked = self.kind != 1;
        let segments = if is_linked {
            1 + usize::from(self.interpreter.is_some()) + usize::from(!self.dynamic.is_empty())
        } else {
            0
        };
        let start = header + segments * program_header;
        let loaded = if is_linked { self.loaded(start) } else { Vec::new() };
        let mut parts = [loaded, self.parts.clone()].concat();
        parts.push(part(".shstrtab", STRTAB, b""));
        let mut names = vec![0];
        let mut name_places = Vec::new();
        for part in &parts {
            name_places.push(u32::try_from(names.len()).expect("short"));
            names.extend_from_slice(part.name.as_bytes());
            names.push(0);
        }
        parts.last_mut().expect("names").data = names;
        let mut body = vec![0; start];
        let mut places = Vec::new();
        for part in &parts {
            body.resize(body.len().next_multiple_of(usize::try_from(part.alignment.max(1)).expect("small")), 0);
            places.push(body.len());
            body.extend_from_slice(&part.data);
        }
        body.resize(body.len().next_multiple_of(8), 0);
        let table = body.len();
        body.resize(table + section_header, 0);
        let index = |name: &str| {
            parts.iter().position(|part| part.name == name).map_or(0, |at| u32::try_from(at).expect("few") + 1)
        };
        for ((part, place), name) in parts.iter().zip(&places).zip(name_places) {
            let address = if part.flags & 2 != 0 { *place as u64 } else { 0 };
            body.extend(self.word(name));
            body.extend(self.word(part.kind));
            for value in [part.flags, address, *place as u64, part.data.len() as u64] {
                body.extend(self.native(value));
            }
            body.extend(self.word(index(part.link)));
            body.extend(self.word(if part.about.is_empty() { part.info } else { index(part.about) }));
            body.extend(self.native(part.alignment));
            body.extend(self.native(part.entry_size));
        }
        self.headers(&mut body, &parts, &places, (segments, table));
        body.extend_from_slice(&self.appended);
        body
    }

    fn headers(&self, body: &mut [u8], parts: &[Part], places: &[usize], (segments, table): (usize, usize)) {
        let half = |value: usize| {
            let value = u16::try_from(value).expect("few");
            if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
        };
        let (header, program_header, section_header) = if self.is_64 { (64, 56, 64) } else { (52, 32, 40) };
        let mut out = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(self.is_64), 1 + u8::from(self.is_big_endian), 1];
        out.resize(16, 0);
        out.extend([half(self.kind.into()), half(self.machine.into())].concat());
        out.extend(self.word(1));
        out.extend(self.native(0));
        out.extend(self.native(if segments == 0 { 0 } else { header as u64 }));
        out.extend(self.native(table as u64));
        out.extend(self.word(0));
        for value in [
            header,
            if segments == 0 { 0 } else { program_header },
            segments,
            section_header,
            parts.len() + 1,
            parts.len(),
        ] {
            out.extend(half(value));
        }
        if segments > 0 {
            let end =
                parts.iter().zip(places).filter(|(part, _)| part.flags & 2 != 0).map(|(part, at)| at + part.data.len());
            let mut all = vec![(1, 0, end.max().expect("something is loaded"))];
            for (kind, name) in [(3, ".interp"), (2, ".dynamic")] {
                let at = parts.iter().position(|part| part.name == name);
                all.extend(at.map(|at| (kind, places[at], parts[at].data.len())));
            }
            for (kind, offset, size) in all {
                let numbers: Vec<Vec<u8>> =
                    [offset, offset, offset, size, size, 1].map(|value| self.native(value as u64)).into();
                out.extend(self.word(kind));
                if self.is_64 {
                    out.extend(self.word(5));
                    out.extend(numbers.concat());
                } else {
                    out.extend(numbers[..5].concat());
                    out.extend(self.word(5));
                    out.extend(&numbers[5]);
                }
            }
        }
        body[..out.len()].copy_from_slice(&out);
    }
}

/// An object file with a function, its debug information, and relocations of both; a section's symbol goes with the debug
/// information, so that others change their numbers.
pub(crate) fn object(is_64: bool, is_big_endian: bool) -> Assembly {
    let mut out = Assembly {
        is_64,
        is_big_endian,
        kind: 1,
        machine: if is_64 { 62 } else { 3 },
        interpreter: None,
        dynamic: Vec::new(),
        texts: Vec::new(),
        parts: Vec::new(),
        appended: Vec::new(),
    };
    // Sections: 1 .text, 2 .group, 3 .rela.text, 4 .debug_info, 5 .rela.debug_info, 6 .data, 7 .symtab, 8 .strtab.
    let symbols = out.symbols(&[("", 0, 0), ("", 3, 1), ("", 3, 4), ("", 3, 6), ("main", 0x12, 1), ("puts", 0x10, 0)]);
    let relocation = |symbol: u64| {
        let info = if is_64 { symbol << 32 | 2 } else { symbol << 8 | 2 };
        [out.native(8), out.native(info), out.native(0)].concat()
    };
    let relocations = |name, about, symbols: [u64; 2]| Part {
        link: ".symtab",
        about,
        entry_size: if is_64 { 24 } else { 12 },
        alignment: 8,
        ..part(name, RELA, &symbols.map(relocation).concat())
    };
    let group = [out.word(1), out.word(1), out.word(4), out.word(6)].concat();
    let parts = vec![
        Part { flags: 6, alignment: 16, ..part(".text", PROGBITS, &[0x90; 32]) },
        Part { link: ".symtab", info: 4, entry_size: 4, alignment: 4, ..part(".group", GROUP, &group) },
        relocations(".rela.text", ".text", [3, 5]),
        part(".debug_info", PROGBITS, &[0x5a; 300]),
        relocations(".rela.debug_info", ".debug_info", [1, 2]),
        Part { flags: 3, alignment: 8, ..part(".data", PROGBITS, &[7; 12]) },
        Part {
            link: ".strtab",
            info: 4,
            entry_size: if is_64 { 24 } else { 16 },
            alignment: 8,
            ..part(".symtab", SYMTAB, &symbols)
        },
        part(".strtab", STRTAB, b"\0main\0puts\0"),
    ];
    out.parts = parts;
    out
}
