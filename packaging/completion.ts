/** Completion for bash, zsh and fish, made from the commander program: commands, options and what they take. */
import type { Command } from "commander";
import { visibleOptions } from "./commands.ts";

/** What a word on the command line may be, so that a shell can offer some. */
type Kind = "file" | "directory" | "domain" | "uplink" | "other";

interface Flag {
  readonly names: readonly string[];
  readonly description: string;
  /** null: takes no value. */
  readonly value: Kind | null;
}

/** One command, or a group of them, by its path: `` for the program, `/policy/check`. */
interface Node {
  readonly path: string;
  readonly description: string;
  readonly children: readonly Node[];
  readonly flags: readonly Flag[];
  /** What its arguments are, in order; the last one's repeats where it is variadic. */
  readonly arguments: readonly { readonly kind: Kind; readonly variadic: boolean }[];
}

/** By the names in the programs' help: `<file...>`, `<uplink>`. */
const KINDS: Readonly<Record<string, Kind>> = {
  file: "file",
  directory: "directory",
  dir: "directory",
  domain: "domain",
  uplink: "uplink",
};

/** Names of running domains and of NICs, in any shell. A failing virsh offers nothing and says nothing. */
const DOMAINS = "virsh --readonly --quiet list --name 2>/dev/null";
const UPLINKS = "ls /sys/class/net 2>/dev/null";

/** @returns the script for bash: /usr/share/bash-completion/completions/NAME */
export function bashCompletion(program: Command): string {
  const root = describe(program, "");
  const name = program.name();
  const nodes = flatten(root);
  const paths = nodes.filter((node) => node !== root).map((node) => node.path);
  const offers: Readonly<Record<Kind, string | null>> = {
    file: 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur")',
    directory: 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur")',
    domain: `words+=" $(${DOMAINS})"`,
    uplink: `words+=" $(${UPLINKS})"`,
    other: null,
  };
  const values = nodes.flatMap((node) =>
    node.flags.flatMap((flag) => {
      if (flag.value === null) return [];
      const offer = offers[flag.value]?.replace("words+=", "words=") ?? ":";
      return flag.names.map((flagName) =>
        flag.value === "domain" || flag.value === "uplink"
          ? `    '${node.path} ${flagName}') ${offer} ;;`
          : `    '${node.path} ${flagName}') ${offer}; return ;;`,
      );
    }),
  );
  const commands = nodes.flatMap((node) => {
    const offer = offers[node.arguments[0]?.kind ?? "other"];
    const words = [
      ...node.children.map((child) => wordOf(child)),
      ...node.flags.flatMap((flag) => flag.names),
    ];
    return [
      `      '${node.path}')`,
      `        words='${words.join(" ")}'`,
      ...(offer === null ? [] : [`        [[ $cur == -* ]] || { ${offer}; }`]),
      "        ;;",
    ];
  });
  return `# bash completion for ${name}, made from its commands
_${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} path= words= i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path/\${COMP_WORDS[i]}" in
      ${paths.join(" | ")}) path+=/\${COMP_WORDS[i]} ;;
    esac
  done
  case "$path $prev" in
${values.join("\n")}
  esac
  if [[ -z $words ]]; then
    case $path in
${commands.join("\n")}
    esac
  fi
  [[ \${#COMPREPLY[@]} -gt 0 ]] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _${name} ${name}
`;
}

/** @returns the script for zsh: /usr/share/zsh/vendor-completions/_NAME */
export function zshCompletion(program: Command): string {
  const root = describe(program, "");
  const name = program.name();
  const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const inBrackets = (text: string) => text.replaceAll(/[[\]:]/g, "\\$&");
  const functionOf = (node: Node) => `_${name}${node.path.replaceAll("/", "_")}`;
  const offers: Readonly<Record<Kind, string>> = {
    file: "file:_files",
    directory: "directory:_files -/",
    domain: `domain:{compadd -- \${(f)"$(${DOMAINS})"}}`,
    uplink: `uplink:{compadd -- \${(f)"$(${UPLINKS})"}}`,
    other: " : ",
  };
  const functions = flatten(root).map((node) => {
    const flags = node.flags.map((flag) => {
      const value = flag.value === null ? "" : `:${offers[flag.value]}`;
      // A flag with a value may come again; of two names for one only one is due.
      const told = `[${inBrackets(flag.description)}]${value}`;
      return flag.names.length === 1
        ? quote(`${flag.value === null ? "" : "*"}${flag.names[0]}${told}`)
        : `'(${flag.names.join(" ")})'{${flag.names.join(",")}}${quote(told)}`;
    });
    if (node.children.length === 0) {
      const takes = node.arguments.map(({ kind, variadic }, index) =>
        quote(`${variadic ? "*" : index + 1}:${offers[kind]}`),
      );
      return `${functionOf(node)}() {\n  _arguments ${[...flags, ...takes].join(" \\\n    ")}\n}`;
    }
    const commands = node.children.map((child) =>
      quote(`${wordOf(child)}:${child.description.replaceAll(":", "\\:")}`),
    );
    const cases = node.children.map((child) => `        ${wordOf(child)}) ${functionOf(child)} ;;`);
    return `${functionOf(node)}() {
  local curcontext="$curcontext" state line
  local -a commands=(
    ${commands.join("\n    ")}
  )
  _arguments -C ${flags.join(" \\\n    ")} \\
    '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $line[1] in
${cases.join("\n")}
      esac
      ;;
  esac
}`;
  });
  return `#compdef ${name}
# Made from its commands.
${functions.join("\n")}
_${name} "$@"
`;
}

/** @returns the script for fish: /usr/share/fish/vendor_completions.d/NAME.fish */
export function fishCompletion(program: Command): string {
  const root = describe(program, "");
  const name = program.name();
  const quote = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const offers: Readonly<Record<Kind, string>> = {
    file: "-F",
    directory: "-xa '(__fish_complete_directories)'",
    domain: `-xa '(${DOMAINS})'`,
    uplink: `-xa '(${UPLINKS})'`,
    other: "-x",
  };
  const nodes = flatten(root);
  const lines = nodes.flatMap((node) => {
    const start = `complete -c ${name} -n '__${name}_at "${node.path}"'`;
    return [
      ...node.children.map(
        (child) => `${start} -a ${wordOf(child)} -d ${quote(child.description)}`,
      ),
      ...node.flags.map((flag) => {
        const names = flag.names.map((word) =>
          word.startsWith("--") ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`,
        );
        const value =
          flag.value === null ? "" : ` ${flag.value === "file" ? "-rF" : offers[flag.value]}`;
        return `${start} ${names.join(" ")}${value} -d ${quote(flag.description)}`;
      }),
      ...node.arguments
        .slice(0, 1)
        .flatMap(({ kind }) => (kind === "other" ? [] : [`${start} ${offers[kind]}`])),
    ];
  });
  const paths = nodes.filter((node) => node !== root).map((node) => node.path);
  return `# fish completion for ${name}, made from its commands
function __${name}_at
    set -l path ""
    for word in (commandline -opc)[2..]
        if contains -- "$path/$word" ${paths.join(" ")}
            set path "$path/$word"
        end
    end
    test "$path" = "$argv[1]"
end
complete -c ${name} -f
${lines.join("\n")}
`;
}

function describe(command: Command, path: string): Node {
  return {
    path,
    description: command.description(),
    children: command.commands.map((child) => describe(child, `${path}/${child.name()}`)),
    flags: visibleOptions(command).map((option) => {
      const value = /[<[]([a-z]+)/.exec(option.flags)?.[1];
      return {
        names: [option.short, option.long].filter((each) => typeof each === "string"),
        description: option.description,
        value: value === undefined ? null : (KINDS[value] ?? "other"),
      };
    }),
    arguments: command.registeredArguments.map((argument) => ({
      kind: KINDS[argument.name()] ?? "other",
      variadic: argument.variadic,
    })),
  };
}

function flatten(node: Node): readonly Node[] {
  return [node, ...node.children.flatMap(flatten)];
}

function wordOf(node: Node): string {
  return node.path.slice(node.path.lastIndexOf("/") + 1);
}
