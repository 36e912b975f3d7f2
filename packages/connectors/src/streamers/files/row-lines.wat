;; Writes rows of DuckDB's vectors as JSON, spelt as its casts and its to_json spell values (parquet-sql.ts is the other way).
;;
;; rows(node, from, count, limit) writes rows [from, count) of a node, each ended by END, from where `at` stands, until that is
;; behind `limit`; it answers the first row that it did not write. `at` is then behind the last. It stops the same way before
;; a value that only DuckDB knows to spell, with `odd` set to 1: an infinite time, or a year of more than four digits; what was begun of that row
;; is not counted. The memory grows at its end, so nothing but what is written may stand behind `at`.
;;
;; A node, 48 bytes: +0 kind, +4 data, +8 validity bits or 0, +12 decimal places, +16 what stands before it, +20 its length,
;; +24 first node inside, +28 how many. Kinds: 0 text that is JSON, 1 text, 2 boolean, 3 4 5 6 signed whole numbers of 8, 16, 32, 64 bits, or decimals,
;; 7 8 9 10 unsigned ones, 11 double, 12 date, 13 instant in microseconds, 14 struct, 15 list.
;; texts(data, bits, count, table, heap) gives the long ones of a vector their places from `heap` on, one behind the other. What lies behind one
;; another in DuckDB's memory too is a run: at `table` it leaves, for each, its first row and its length in bytes, and answers how many; or -1
;; where they are longer than LONGEST together.
;;
;; Texts are DuckDB's string_t of 16 bytes: length, then up to 12 bytes, or 4 and the address, of which the last 32 bits say the place in this memory.
(module
  (import "spell" "double" (func $spell (param f64 i32) (result i32)))
  (memory (export "memory") 4)
  (global $at (export "at") (mut i32) (i32.const 0))
  (global $odd (export "odd") (mut i32) (i32.const 0))
  ;; At 64, 72, 80: words. At 96: END, at 92 its length.
  (data (i32.const 64) "null")
  (data (i32.const 72) "true")
  (data (i32.const 80) "false")
  (data (i32.const 112) "0123456789ABCDEF")
  ;; The letter behind the backslash for bytes below 32; u: by its number.
  (data (i32.const 128) "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu")

  (func $room (param $bytes i32)
    (local $end i32)
    (local.set $end (i32.shl (memory.size) (i32.const 16)))
    (if (i32.gt_u (i32.add (global.get $at) (local.get $bytes)) (local.get $end))
      (then
        (if (i32.eq (i32.const -1)
              (memory.grow (i32.add (i32.const 16)
                (i32.shr_u (i32.sub (i32.add (global.get $at) (local.get $bytes)) (local.get $end)) (i32.const 16)))))
          (then (unreachable))))))
  (func $byte (param $c i32)
    (i32.store8 (global.get $at) (local.get $c))
    (global.set $at (i32.add (global.get $at) (i32.const 1))))
  ;; Writes up to 16 bytes more than it has to.
  (func $copy (param $from i32) (param $length i32)
    (local $to i32)
    (local.set $to (global.get $at))
    (global.set $at (i32.add (local.get $to) (local.get $length)))
    (loop $next
      (v128.store (local.get $to) (v128.load (local.get $from)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (local.set $from (i32.add (local.get $from) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $to) (global.get $at)))))
  ;; Text in quotes.
  (func $text (param $from i32) (param $length i32)
    (local $v v128) (local $mask i32) (local $step i32) (local $c i32) (local $letter i32)
    (call $byte (i32.const 34))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $length)))
        (local.set $v (v128.load (local.get $from)))
        (v128.store (global.get $at) (local.get $v))
        (local.set $mask (i8x16.bitmask
          (v128.or
            (i8x16.lt_u (local.get $v) (i8x16.splat (i32.const 32)))
            (v128.or
              (i8x16.eq (local.get $v) (i8x16.splat (i32.const 34)))
              (i8x16.eq (local.get $v) (i8x16.splat (i32.const 92)))))))
        (local.set $step (select (i32.const 16) (local.get $length) (i32.gt_u (local.get $length) (i32.const 16))))
        ;; A bit behind the last byte looked at, so that there is always a first one.
        (local.set $mask (i32.ctz (i32.or (local.get $mask) (i32.shl (i32.const 1) (local.get $step)))))
        (global.set $at (i32.add (global.get $at) (local.get $mask)))
        (local.set $from (i32.add (local.get $from) (local.get $mask)))
        (local.set $length (i32.sub (local.get $length) (local.get $mask)))
        (br_if $next (i32.ge_u (local.get $mask) (local.get $step)))
        (local.set $c (i32.load8_u (local.get $from)))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (local.set $length (i32.sub (local.get $length) (i32.const 1)))
        (call $byte (i32.const 92))
        (local.set $letter (local.get $c))
        (if (i32.lt_u (local.get $c) (i32.const 32))
          (then (local.set $letter (i32.load8_u offset=128 (local.get $c)))))
        (call $byte (local.get $letter))
        (if (i32.eq (local.get $letter) (i32.const 117))
          (then
            (call $byte (i32.const 48))
            (call $byte (i32.const 48))
            (call $byte (i32.load8_u offset=112 (i32.shr_u (local.get $c) (i32.const 4))))
            (call $byte (i32.load8_u offset=112 (i32.and (local.get $c) (i32.const 15))))))
        (br $next)))
    (call $byte (i32.const 34)))

  (func $whole (param $n i64)
    (local $billions i64) (local $small i32) (local $count i32) (local $power i32)
    (if (i64.ge_u (local.get $n) (i64.const 1000000000))
      (then
        (local.set $billions (i64.div_u (local.get $n) (i64.const 1000000000)))
        (call $whole (local.get $billions))
        (call $digits (i32.wrap_i64 (i64.sub (local.get $n) (i64.mul (local.get $billions) (i64.const 1000000000)))) (i32.const 9))
        (return)))
    (local.set $small (i32.wrap_i64 (local.get $n)))
    (local.set $count (i32.const 1))
    (local.set $power (i32.const 10))
    (loop $next
      (if (i32.and (i32.ge_u (local.get $small) (local.get $power)) (i32.lt_u (local.get $count) (i32.const 9)))
        (then
          (local.set $count (i32.add (local.get $count) (i32.const 1)))
          (local.set $power (i32.mul (local.get $power) (i32.const 10)))
          (br $next))))
    (call $digits (local.get $small) (local.get $count)))
  ;; The last so many digits, at most nine.
  (func $digits (param $n i32) (param $count i32)
    (local $to i32) (local $tenth i32)
    (local.set $to (i32.add (global.get $at) (local.get $count)))
    (loop $next
      (if (i32.gt_u (local.get $to) (global.get $at))
        (then
          (local.set $tenth (i32.div_u (local.get $n) (i32.const 10)))
          (local.set $to (i32.sub (local.get $to) (i32.const 1)))
          (i32.store8 (local.get $to) (i32.add (i32.const 48) (i32.sub (local.get $n) (i32.mul (local.get $tenth) (i32.const 10)))))
          (local.set $n (local.get $tenth))
          (br $next))))
    (global.set $at (i32.add (global.get $at) (local.get $count))))
  ;; A point and so many digits, without the zeros at their end but for one digit.
  (func $fraction (param $n i32) (param $count i32)
    (local $first i32)
    (call $byte (i32.const 46))
    (local.set $first (global.get $at))
    (call $digits (local.get $n) (local.get $count))
    (loop $next
      (if (i32.and
            (i32.gt_u (global.get $at) (i32.add (local.get $first) (i32.const 1)))
            (i32.eq (i32.load8_u (i32.sub (global.get $at) (i32.const 1))) (i32.const 48)))
        (then
          (global.set $at (i32.sub (global.get $at) (i32.const 1)))
          (br $next)))))
  (func $decimal (param $n i64) (param $places i32)
    (local $power i64) (local $i i32) (local $major i64)
    (if (i64.lt_s (local.get $n) (i64.const 0))
      (then
        (call $byte (i32.const 45))
        (local.set $n (i64.sub (i64.const 0) (local.get $n)))))
    (if (i32.eqz (local.get $places))
      (then (call $whole (local.get $n)) (return)))
    (local.set $power (i64.const 1))
    (loop $next
      (local.set $power (i64.mul (local.get $power) (i64.const 10)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (local.get $places))))
    (local.set $major (i64.div_u (local.get $n) (local.get $power)))
    (call $whole (local.get $major))
    (call $byte (i32.const 46))
    (local.set $n (i64.sub (local.get $n) (i64.mul (local.get $major) (local.get $power))))
    (if (i32.gt_u (local.get $places) (i32.const 9))
      (then
        (local.set $major (i64.div_u (local.get $n) (i64.const 1000000000)))
        (call $digits (i32.wrap_i64 (local.get $major)) (i32.sub (local.get $places) (i32.const 9)))
        (local.set $n (i64.sub (local.get $n) (i64.mul (local.get $major) (i64.const 1000000000))))
        (local.set $places (i32.const 9))))
    (call $digits (i32.wrap_i64 (local.get $n)) (local.get $places)))
  (func $double (param $x f64)
    (local $size f64) (local $scaled f64) (local $major f64)
    (local.set $size (f64.abs (local.get $x)))
    ;; Of up to 15 digits, a decimal is the only one of its length that gives this double.
    (if (i32.and (f64.lt (local.get $size) (f64.const 1e9))
          (i32.or (f64.ge (local.get $size) (f64.const 1e-4)) (f64.eq (local.get $size) (f64.const 0))))
      (then
        (local.set $scaled (f64.nearest (f64.mul (local.get $size) (f64.const 1e5))))
        (if (f64.eq (f64.div (local.get $scaled) (f64.const 1e5)) (local.get $size))
          (then
            (if (i64.lt_s (i64.reinterpret_f64 (local.get $x)) (i64.const 0))
              (then (call $byte (i32.const 45))))
            (local.set $major (f64.floor (f64.div (local.get $scaled) (f64.const 1e5))))
            (call $whole (i64.trunc_f64_u (local.get $major)))
            (call $fraction
              (i32.trunc_f64_u (f64.sub (local.get $scaled) (f64.mul (local.get $major) (f64.const 1e5))))
              (i32.const 5))
            (return)))))
    (global.set $at (call $spell (local.get $x) (global.get $at))))
  ;; `days` since March of year 0. Years begin with March, in eras of 400: Howard Hinnant, "chrono-Compatible Low-Level
  ;; Date Algorithms".
  (func $day (param $days i32)
    (local $era i32) (local $inEra i32) (local $year i32) (local $inYear i32) (local $march i32) (local $month i32)
    (local.set $era (i32.div_u (local.get $days) (i32.const 146097)))
    (local.set $inEra (i32.sub (local.get $days) (i32.mul (local.get $era) (i32.const 146097))))
    (local.set $year (i32.div_u
      (i32.sub
        (i32.add
          (i32.sub (local.get $inEra) (i32.div_u (local.get $inEra) (i32.const 1460)))
          (i32.div_u (local.get $inEra) (i32.const 36524)))
        (i32.div_u (local.get $inEra) (i32.const 146096)))
      (i32.const 365)))
    (local.set $inYear (i32.sub (local.get $inEra)
      (i32.sub
        (i32.add (i32.mul (local.get $year) (i32.const 365)) (i32.div_u (local.get $year) (i32.const 4)))
        (i32.div_u (local.get $year) (i32.const 100)))))
    (local.set $march (i32.div_u (i32.add (i32.mul (local.get $inYear) (i32.const 5)) (i32.const 2)) (i32.const 153)))
    (local.set $month (i32.add (local.get $march) (i32.const 3)))
    (local.set $year (i32.add (local.get $year) (i32.mul (local.get $era) (i32.const 400))))
    (if (i32.gt_u (local.get $month) (i32.const 12))
      (then
        (local.set $month (i32.sub (local.get $month) (i32.const 12)))
        (local.set $year (i32.add (local.get $year) (i32.const 1)))))
    (call $two (i32.div_u (local.get $year) (i32.const 100)))
    (call $two (i32.rem_u (local.get $year) (i32.const 100)))
    (call $byte (i32.const 45))
    (call $two (local.get $month))
    (call $byte (i32.const 45))
    (call $two (i32.add (i32.const 1)
      (i32.sub (local.get $inYear)
        (i32.div_u (i32.add (i32.mul (local.get $march) (i32.const 153)) (i32.const 2)) (i32.const 5))))))
  (func $two (param $n i32)
    (local $tens i32)
    (local.set $tens (i32.div_u (local.get $n) (i32.const 10)))
    (call $byte (i32.add (i32.const 48) (local.get $tens)))
    (call $byte (i32.add (i32.const 48) (i32.sub (local.get $n) (i32.mul (local.get $tens) (i32.const 10))))))
  ;; A date by its days since 1970.
  (func $date (param $days i32)
    (local.set $days (i32.add (local.get $days) (i32.const 719468)))
    ;; From the first day of year 1 to the last of 9999.
    (if (i32.gt_u (i32.sub (local.get $days) (i32.const 306)) (i32.const 3652058))
      (then (global.set $odd (i32.const 1)) (return)))
    (call $byte (i32.const 34))
    (call $day (local.get $days))
    (call $byte (i32.const 34)))
  (func $instant (param $micros i64)
    (local $days i64) (local $seconds i32)
    ;; From the first moment of year 1.
    (local.set $micros (i64.add (local.get $micros) (i64.const 62135596800000000)))
    (if (i64.ge_u (local.get $micros) (i64.const 315537897600000000))
      (then (global.set $odd (i32.const 1)) (return)))
    (local.set $days (i64.div_u (local.get $micros) (i64.const 86400000000)))
    (local.set $micros (i64.sub (local.get $micros) (i64.mul (local.get $days) (i64.const 86400000000))))
    ;; The fraction has six digits, so the double is never rounded up to the next second.
    (local.set $seconds (i32.trunc_f64_u (f64.div (f64.convert_i64_u (local.get $micros)) (f64.const 1e6))))
    (local.set $micros (i64.sub (local.get $micros) (i64.mul (i64.extend_i32_u (local.get $seconds)) (i64.const 1000000))))
    (call $byte (i32.const 34))
    (call $day (i32.add (i32.wrap_i64 (local.get $days)) (i32.const 306)))
    (call $byte (i32.const 84))
    (call $two (i32.div_u (local.get $seconds) (i32.const 3600)))
    (call $byte (i32.const 58))
    (call $two (i32.rem_u (i32.div_u (local.get $seconds) (i32.const 60)) (i32.const 60)))
    (call $byte (i32.const 58))
    (call $two (i32.rem_u (local.get $seconds) (i32.const 60)))
    (if (i64.ne (local.get $micros) (i64.const 0))
      (then (call $fraction (i32.wrap_i64 (local.get $micros)) (i32.const 6))))
    (call $byte (i32.const 90))
    (call $byte (i32.const 34)))

  (func $value (param $node i32) (param $row i32)
    (local $data i32) (local $bits i32) (local $length i32) (local $i i32) (local $inner i32)
    (call $room (i32.add (i32.load offset=20 (local.get $node)) (i32.const 256)))
    (if (i32.load offset=20 (local.get $node))
      (then (call $copy (i32.load offset=16 (local.get $node)) (i32.load offset=20 (local.get $node)))))
    (local.set $bits (i32.load offset=8 (local.get $node)))
    (if (local.get $bits)
      (then
        (if (i32.eqz (i32.and
              (i32.shr_u (i32.load8_u (i32.add (local.get $bits) (i32.shr_u (local.get $row) (i32.const 3))))
                (i32.and (local.get $row) (i32.const 7)))
              (i32.const 1)))
          (then (call $copy (i32.const 64) (i32.const 4)) (return)))))
    (local.set $data (i32.load offset=4 (local.get $node)))
    (block $list
    (block $struct
    (block $instant
    (block $date
    (block $double
    (block $u64
    (block $u32
    (block $u16
    (block $u8
    (block $i64
    (block $i32
    (block $i16
    (block $i8
    (block $bool
    (block $text
      (br_table $text $text $bool $i8 $i16 $i32 $i64 $u8 $u16 $u32 $u64 $double $date $instant $struct $list
        (i32.load (local.get $node))))
    ;; text
    (local.set $data (i32.add (local.get $data) (i32.shl (local.get $row) (i32.const 4))))
    (local.set $length (i32.load (local.get $data)))
    (local.set $data (select
      (i32.add (local.get $data) (i32.const 4))
      (i32.load offset=12 (local.get $data))
      (i32.le_u (local.get $length) (i32.const 12))))
    (call $room (i32.add (i32.mul (local.get $length) (i32.const 6)) (i32.const 64)))
    (if (i32.load (local.get $node))
      (then (call $text (local.get $data) (local.get $length)))
      (else (call $copy (local.get $data) (local.get $length))))
    (return))
    ;; bool
    (if (i32.load8_u (i32.add (local.get $data) (local.get $row)))
      (then (call $copy (i32.const 72) (i32.const 4)))
      (else (call $copy (i32.const 80) (i32.const 5))))
    (return))
    (call $decimal (i64.load8_s (i32.add (local.get $data) (local.get $row))) (i32.load offset=12 (local.get $node)))
    (return))
    (call $decimal (i64.load16_s (i32.add (local.get $data) (i32.shl (local.get $row) (i32.const 1)))) (i32.load offset=12 (local.get $node)))
    (return))
    (call $decimal (i64.load32_s (i32.add (local.get $data) (i32.shl (local.get $row) (i32.const 2)))) (i32.load offset=12 (local.get $node)))
    (return))
    (call $decimal (i64.load (i32.add (local.get $data) (i32.shl (local.get $row) (i32.const 3)))) (i32.load offset=12 (local.get $node)))
    (return))
    (call $whole (i64.load8_u (i32.add (local.get $data) (local.get $row))))
    (return))
    (call $whole (i64.load16_u (i32.add (local.get $data) (i32.shl (local.get $row) (i32.const 1)))))
    (return))
    (call $whole (i64.load32_u (i32.add (local.get $data) (i32.shl (local.get $row) (i32.const 2)))))
    (return))
    (call $whole (i64.load (i32.add (local.get $data) (i32.shl (local.get $row) (i32.const 3)))))
    (return))
    (call $double (f64.load (i32.add (local.get $data) (i32.shl (local.get $row) (i32.const 3)))))
    (return))
    (call $date (i32.load (i32.add (local.get $data) (i32.shl (local.get $row) (i32.const 2)))))
    (return))
    (call $instant (i64.load (i32.add (local.get $data) (i32.shl (local.get $row) (i32.const 3)))))
    (return))
    ;; struct
    (local.set $inner (i32.load offset=24 (local.get $node)))
    (loop $members
      (call $value (local.get $inner) (local.get $row))
      (local.set $inner (i32.add (local.get $inner) (i32.const 48)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $members (i32.lt_u (local.get $i) (i32.load offset=28 (local.get $node)))))
    (call $room (i32.const 64))
    (call $byte (i32.const 125))
    (return))
    ;; list: where it begins and how long it is, 64 bits each
    (local.set $data (i32.add (local.get $data) (i32.shl (local.get $row) (i32.const 4))))
    (local.set $inner (i32.load offset=24 (local.get $node)))
    (local.set $i (i32.load (local.get $data)))
    (local.set $length (i32.add (local.get $i) (i32.load offset=8 (local.get $data))))
    (call $byte (i32.const 91))
    (block $end
      (br_if $end (i32.eq (local.get $i) (local.get $length)))
      (loop $items
        (call $value (local.get $inner) (local.get $i))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $end (i32.eq (local.get $i) (local.get $length)))
        (call $room (i32.const 64))
        (call $byte (i32.const 44))
        (br $items)))
    (call $room (i32.const 64))
    (call $byte (i32.const 93)))

  (func (export "rows") (param $node i32) (param $from i32) (param $count i32) (param $limit i32) (result i32)
    (local $begin i32)
    (global.set $odd (i32.const 0))
    (block $end
      (loop $next
        (br_if $end (i32.ge_u (local.get $from) (local.get $count)))
        (br_if $end (i32.gt_u (global.get $at) (local.get $limit)))
        (local.set $begin (global.get $at))
        (call $value (local.get $node) (local.get $from))
        (if (global.get $odd)
          (then
            (global.set $at (local.get $begin))
            (br $end)))
        (call $room (i32.const 64))
        (call $copy (i32.const 96) (i32.load (i32.const 92)))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (br $next)))
    (local.get $from))

  (func (export "texts") (param $data i32) (param $bits i32) (param $count i32) (param $table i32) (param $heap i32) (result i32)
    (local $row i32) (local $length i32) (local $address i64) (local $next i64) (local $runs i32) (local $bytes i32)
    (block $end
      (loop $rows
        (br_if $end (i32.ge_u (local.get $row) (local.get $count)))
        (local.set $length (i32.load (local.get $data)))
        (if (i32.gt_u (local.get $length) (i32.const 12))
          (then
            (if (select
                  (i32.and
                    (i32.shr_u (i32.load8_u (i32.add (local.get $bits) (i32.shr_u (local.get $row) (i32.const 3))))
                      (i32.and (local.get $row) (i32.const 7)))
                    (i32.const 1))
                  (i32.const 1)
                  (local.get $bits))
              (then
                (if (i32.or
                      (i32.gt_u (local.get $length) (i32.const 67108864))
                      (i32.gt_u (i32.add (local.get $bytes) (local.get $length)) (i32.const 67108864)))
                  (then (return (i32.const -1))))
                (local.set $address (i64.load offset=8 (local.get $data)))
                (if (i32.or (i64.ne (local.get $address) (local.get $next)) (i32.eqz (local.get $runs)))
                  (then
                    (i32.store (i32.add (local.get $table) (i32.shl (local.get $runs) (i32.const 3))) (local.get $row))
                    (i32.store offset=4 (i32.add (local.get $table) (i32.shl (local.get $runs) (i32.const 3))) (i32.const 0))
                    (local.set $runs (i32.add (local.get $runs) (i32.const 1)))))
                (i32.store (i32.sub (i32.add (local.get $table) (i32.shl (local.get $runs) (i32.const 3))) (i32.const 4))
                  (i32.add (local.get $length)
                    (i32.load (i32.sub (i32.add (local.get $table) (i32.shl (local.get $runs) (i32.const 3))) (i32.const 4)))))
                (i32.store offset=12 (local.get $data) (i32.add (local.get $heap) (local.get $bytes)))
                (local.set $bytes (i32.add (local.get $bytes) (local.get $length)))
                (local.set $next (i64.add (local.get $address) (i64.extend_i32_u (local.get $length))))))))
        (local.set $data (i32.add (local.get $data) (i32.const 16)))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $rows)))
    (local.get $runs)))
