/** Scripts that complete the words of `millrace` in a shell, written from the command table. */

export interface CompletedCommand {
  readonly path: string
  readonly summary: string
  readonly options: readonly { readonly flag: string; readonly doc: string; readonly choices: readonly string[] }[]
  /** What the first argument may be. */
  readonly words: readonly string[]
  /** What the second argument may be. */
  readonly verbs: readonly string[]
}

export interface Completions {
  readonly commands: readonly CompletedCommand[]
  readonly aliases: Readonly<Record<string, string>>
  readonly streamers: readonly string[]
  readonly persisters: readonly string[]
}

export const completionScript = (shell: 'bash' | 'zsh' | 'fish', all: Completions): string =>
  shell === 'fish'
    ? fishScript(all)
    : shell === 'bash'
      ? bashScript(all)
      : `autoload -U +X bashcompinit && bashcompinit\n${bashScript(all)}`

const firstWords = (all: Completions): readonly string[] => [
  ...new Set([...all.commands.map((c) => c.path.split(' ')[0] as string), ...Object.keys(all.aliases), 'help']),
]

/** Groups of two words: `state`, `runs`. */
const groupsOf = (all: Completions): ReadonlyMap<string, readonly string[]> => {
  const groups = new Map<string, string[]>()
  for (const { path } of all.commands) {
    const [first, second] = path.split(' ')
    if (second !== undefined) groups.set(first as string, [...(groups.get(first as string) ?? []), second])
  }
  return groups
}

/** Names of pipelines, read from the project file by the shell itself: starting a program at each tab would be slow. */
const pipelineNames = `sed -n '/^pipelines:/,/^[^ #]/s/^  \\([A-Za-z0-9_.-]*\\):.*/\\1/p' millrace.yaml 2>/dev/null`

const bashScript = (all: Completions): string => {
  const cases = all.commands
    .map((c) => {
      const flags = c.options.map((o) => o.flag).join(' ')
      return `    ${JSON.stringify(c.path)}) flags=${quote(flags)}; words=${quote(c.words.join(' '))}; verbs=${quote(c.verbs.join(' '))} ;;`
    })
    .join('\n')
  const choices = new Map<string, readonly string[]>([
    ['--from', all.streamers],
    ['--to', all.persisters],
  ])
  for (const c of all.commands)
    for (const o of c.options) if (o.choices.length > 0 && !choices.has(o.flag)) choices.set(o.flag, o.choices)
  const groups = groupsOf(all)
  return `# Completions of millrace. Made by \`millrace completions\`.
_millrace() {
  local cur prev path first count flags words verbs i w
  COMPREPLY=()
  cur="\${COMP_WORDS[COMP_CWORD]}"
  prev="\${COMP_WORDS[COMP_CWORD-1]}"
  first="\${COMP_WORDS[1]}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W ${quote(`${firstWords(all).join(' ')} --help --version`)} -- "$cur")); return
  fi
  case "$first" in
${Object.entries(all.aliases)
  .map(([alias, word]) => `    ${alias}) first=${word} ;;`)
  .join('\n')}
  esac
  path="$first"; count=2
  case "$first" in
${[...groups]
  .map(
    ([group, verbs]) => `    ${group})
      if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W ${quote(`${verbs.join(' ')} --help`)} -- "$cur")); return; fi
      path="$first \${COMP_WORDS[2]}"; count=3 ;;`,
  )
  .join('\n')}
  esac
  case "$prev" in
${[...choices].map(([flag, values]) => `    ${flag}) COMPREPLY=($(compgen -W ${quote(values.join(' '))} -- "$cur")); [ \${#COMPREPLY[@]} -gt 0 ] && return ;;`).join('\n')}
    --config|--state|--catalog|--properties|--maps|--input|--from-config|--to-config|--evidence|-c|-s|-p) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    --cwd) COMPREPLY=($(compgen -d -- "$cur")); return ;;
  esac
  case "$path" in
${cases}
  esac
  case "$cur" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$cur")); return ;;
  esac
  w=0
  for ((i = count; i < COMP_CWORD; i++)); do case "\${COMP_WORDS[i]}" in -*) ;; *) w=$((w + 1)) ;; esac; done
  if [ "$w" -eq 0 ] && [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$cur"))
  elif [ "$w" -ge 1 ] && [ -n "$verbs" ]; then COMPREPLY=($(compgen -W "$verbs" -- "$cur"))
  elif [ "$w" -eq 0 ] && [ -r millrace.yaml ]; then COMPREPLY=($(compgen -W "$(${pipelineNames})" -- "$cur")); fi
  [ \${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "$cur"))
}
complete -F _millrace millrace
`
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

const fishScript = (all: Completions): string => {
  const lines = ['# Completions of millrace. Made by `millrace completions fish`.', 'complete -c millrace -f']
  const top = '__fish_use_subcommand'
  const groups = groupsOf(all)
  for (const word of firstWords(all)) {
    const own = all.commands.find((c) => c.path === word)
    lines.push(
      `complete -c millrace -n ${top} -a ${word} -d ${quote(own?.summary ?? groups.get(word)?.join(', ') ?? '')}`,
    )
  }
  for (const [group, verbs] of groups)
    for (const verb of verbs) {
      const own = all.commands.find((c) => c.path === `${group} ${verb}`)
      lines.push(
        `complete -c millrace -n '__fish_seen_subcommand_from ${group}; and not __fish_seen_subcommand_from ${verbs.join(' ')}' -a ${verb} -d ${quote(own?.summary ?? '')}`,
      )
    }
  for (const c of all.commands) {
    const words = [c.path, ...Object.entries(all.aliases).flatMap(([alias, path]) => (path === c.path ? [alias] : []))]
    const seen = `'${
      c.path.includes(' ')
        ? c.path
            .split(' ')
            .map((w) => `__fish_seen_subcommand_from ${w}`)
            .join('; and ')
        : `__fish_seen_subcommand_from ${words.join(' ')}`
    }'`
    for (const o of c.options)
      lines.push(
        `complete -c millrace -n ${seen} -l ${o.flag.slice(2)} -d ${quote(o.doc)}${o.choices.length > 0 ? ` -x -a ${quote(o.choices.join(' '))}` : ''}`,
      )
    if (c.words.length + c.verbs.length > 0)
      lines.push(`complete -c millrace -n ${seen} -a ${quote([...c.words, ...c.verbs].join(' '))}`)
    else if (!c.path.includes(' ') || c.path.startsWith('state'))
      lines.push(`complete -c millrace -n ${seen} -a ${quote(`(${pipelineNames})`)}`)
  }
  return `${lines.join('\n')}\n`
}
