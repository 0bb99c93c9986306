// The result for a reader (a table) and for a program (JSON).

import { summary } from './samples.mjs'

const COLUMNS = ['median', 'min', 'p99', 'max', 'n', 'target']

/** `{ date, machine, quick, groups }` with the statistics of each row beside its samples. */
export function toJson({ groups, ...rest }) {
  const withSummary = (row) => ({ ...row, ...summary(row) })
  return { ...rest, groups: groups.map((group) => ({ ...group, rows: group.rows.map(withSummary) })) }
}

export function toTable({ groups, machine, quick }) {
  const lines = groups.flatMap(({ title, rows, failed }) => [
    [title],
    ...rows.map((row) => [`  ${row.name}`, ...cells(row)]),
    ...(failed ? [[`  failed: ${failed}`]] : []),
  ])
  const table = [['', ...COLUMNS], ...lines]
  const full = table.filter((line) => line.length > 1)
  const widths = full[0].map((_, column) => Math.max(...full.map((line) => line[column].length)))
  const drawn = table.map((line) => (line.length === 1 ? `\n${line[0]}` : draw(line, widths)))
  return `${[...drawn, '', ...footer(machine, quick)].join('\n')}\n`
}

function draw(line, widths) {
  return line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ').trimEnd()
}

function cells(row) {
  const { median, min, p99, max, n, target, met } = summary(row)
  const goal = target === undefined ? '' : `${row.at ? `${row.at} ` : ''}≤ ${number(target)} ${met ? '✓' : '✗'}`
  const unit = row.unit === '' ? '' : ` ${row.unit}`
  return [`${number(median)}${unit}`, number(min), number(p99), number(max), String(n), goal]
}

/** Three significant digits are more than a shared machine gives. */
function number(value) {
  if (value === undefined) return ''
  if (Number.isInteger(value)) return String(value)
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)))
}

function footer({ cpu, cores, memoryGb, system, node, load, commit, addon }, quick) {
  return [
    `${cpu}, ${cores} cores, ${memoryGb} GB; ${system}; Node ${node}; load ${load.toFixed(1)} at the start`,
    `addon: ${addon.profile} profile, ${(addon.bytes / 1e6).toFixed(1)} MB${commit ? `; commit ${commit}` : ''}`,
    ...(addon.profile === 'release' ? [] : ['The dev addon is not what ships: its times say little about the targets. Leave out --dev.']),
    ...(quick ? ['Quick: few samples. For numbers to keep, leave out --quick.'] : []),
    '✓ and ✗ compare the median, or where it says p99 that, with the target on this machine; they are information, not a verdict.',
  ]
}
