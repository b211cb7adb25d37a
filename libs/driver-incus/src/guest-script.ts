/** How long runs are kept in the guest after they have ended, in minutes. */
const BRIEF_MINUTES = 60;
const KEPT_MINUTES = 7 * 24 * 60;
/** At most so many are cleared away for each one that begins, so that this takes no time. */
const MAX_CLEARED = 20;

/**
 * What runs in a guest: `/bin/sh` as POSIX has it, with nothing more than busybox brings. Arguments: run id, hash of the
 * script, seconds, script, supervisor, and `BRIEF` or `KEPT`. The folder is made by one of all who ask, so the script starts
 * at most once; whoever asks again is told how it stands, in the first line of the standard output: `PENDING`, `CONFLICT` (another
 * script had this id), `LOST` (it was cut off), `FULL` (nothing can be written, so nothing has begun), or `DONE` and the exit
 * code, and after it the outputs of the script, each to its own. Standard input goes to the script through a pipe and is never
 * on a disk; one who was cut off while that was still on its way has begun nothing, and the next who asks begins in its place.
 * Whoever begins, or finds no room to, clears away a few that ended long ago.
 *
 * The script starts after `pid` is there, and only then. A power cut may leave files empty: an empty `pid` was one, so the run
 * was cut off; an empty `status` says no more than none. Without `owner` the folder was only just made, or is what is left.
 */
export const WRAPPER = `
umask 077
root=\${MUON_RUNS:-/var/lib/muon/runs} run=$1 hash=$2 seconds=$3 script=$4 supervisor=$5 keep=$6
# No run's name begins with a dot.
brief=$root/.brief
dir=$root/$run
if [ "$keep" = BRIEF ]; then dir=$brief/$run; fi
alive() { case "$(cat "/proc/$1/cmdline")" in *"$2"*) return 0 ;; esac; return 1; }
clear_old() {
  find "$1" -mindepth 1 -maxdepth 1 -type d ! -name '.*' ! -name "$run" -mmin "+$2" | head -n ${MAX_CLEARED} | while read -r old; do
    if [ ! -s "$old/status" ] && { alive "$(cat "$old/pid")" "\${old##*/}" || alive "$(cat "$old/owner")" "\${old##*/}"; }; then continue; fi
    rm -rf "$old"
  done
}
clear_all_old() { { clear_old "$brief" ${BRIEF_MINUTES}; clear_old "$root" ${KEPT_MINUTES}; } </dev/null >/dev/null 2>&1; }
full() { clear_all_old; echo FULL; exit; }
# Whole at once: another one's may be read or running already.
keep_whole() { printf %s "$2" >"$1.$$" && [ "$(cat "$1.$$"; echo .)" = "$2." ] && mv "$1.$$" "$1"; }
begin() {
  { echo $$ >"$dir/owner" && [ -s "$dir/owner" ] && keep_whole "$dir/hash" "$hash" && keep_whole "$dir/script" "$script"; } 2>/dev/null || full
  input=$(cat; echo .)
  session=
  if command -v setsid >/dev/null 2>&1; then session=setsid; elif busybox setsid true 2>/dev/null; then session='busybox setsid'; fi
  printf %s "\${input%.}" | $session /bin/sh -c "$supervisor" "muon-run-$run" "$dir" "$seconds" "$session" >/dev/null 2>&1 &
}
mkdir -p "$brief" 2>/dev/null || full
if mkdir "$dir" 2>/dev/null; then
  begin
  clear_all_old
fi
[ -d "$dir" ] || full
if [ -s "$dir/hash" ] && [ "$(cat "$dir/hash")" != "$hash" ]; then echo CONFLICT; exit; fi
owned() {
  if [ -s "$dir/owner" ]; then alive "$(cat "$dir/owner")" "$run"; else [ -z "$(find "$dir" -maxdepth 0 -mmin +1)" ]; fi
}
if [ ! -s "$dir/status" ]; then
  if [ -e "$dir/pid" ]; then
    # It may have ended between the two looks.
    if ! alive "$(cat "$dir/pid")" "$run" 2>/dev/null && [ ! -s "$dir/status" ]; then echo LOST; exit; fi
  elif ! owned 2>/dev/null && [ ! -e "$dir/pid" ]; then
    begin
  fi
fi
# What is over within a second is told at once: asking again costs more than waiting.
left=10
while [ ! -s "$dir/status" ] && [ "$left" -gt 0 ]; do
  sleep 0.1 2>/dev/null || break
  left=$((left - 1))
done
if [ ! -s "$dir/status" ]; then echo PENDING; exit; fi
echo "DONE $(cat "$dir/status")"
head -c 65536 "$dir/output"
head -c 65536 "$dir/error" >&2
`;

/**
 * Arguments: folder, seconds, program that makes a session. Waits for the script, kills it when its time is over. Of several
 * that were begun one goes on: the one whose file becomes `pid`.
 */
export const SUPERVISOR = `
dir=$1 seconds=$2 session=$3
echo $$ >"$dir/pid.$$" && [ -s "$dir/pid.$$" ] || exit
ln "$dir/pid.$$" "$dir/pid" || exit
exec 3<&0
$session /bin/sh "$dir/script" <&3 >"$dir/output" 2>"$dir/error" 3<&- &
script=$!
$session /bin/sh -c 'sleep "$1"; kill -9 "-$2" 2>/dev/null || kill -9 "$2"' sh "$seconds" "$script" 3<&- </dev/null >/dev/null 2>&1 &
timer=$!
exec 3<&-
wait "$script"
code=$?
kill -9 "-$timer" 2>/dev/null || kill -9 "$timer"
echo "$code" >"$dir/status"
`;
