import { DuckDBInstance } from '@duckdb/node-api'
const i=await DuckDBInstance.create(':memory:',{threads:'2'}); const c=await i.connect()
const f="read_parquet('/tmp/lake-b2/wide.parquet')"
console.log((await c.runAndReadAll(`describe select * from ${f}`)).getRowsJS().map(r=>r[0]+' '+r[1]).join(', '))
console.log((await c.runAndReadAll(`select to_json({'a':1.50::decimal(5,2),'d':1e300,'n':'nan'::double,'f':0.1::float,'h':123456789012345678901234567890::hugeint,'t':timestamp '2026-01-31 10:00:00.5', 'j': '{"x": 1.50}'::json, 'big': 12345678901234567890123456.7890::decimal(38,4), 'd2': date '2026-01-01','l':[1.50::decimal(5,2)]})::varchar`)).getRowsJS()[0][0])
const m = async (n, e) => { const u=process.cpuUsage(); const r=await c.stream(`select ${e} from ${f}`); for(;;){const ch=await r.fetchChunk(); if(!ch||ch.rowCount===0)break}; const v=process.cpuUsage(u); console.log(n,(v.user+v.system)/1e6) }
for (let k=0;k<2;k++){
await m('plain','*')
const cols=(await c.runAndReadAll(`describe select * from ${f}`)).getRowsJS().map(r=>r[0])
await m('tojson struct', `encode('{"type":' || to_json({${cols.map(x=>`'${x}': "${x}"`).join(', ')}})::varchar || chr(10))`)
await m('concat', `encode(${cols.map(x=>`'"${x}":' || coalesce(to_json("${x}")::varchar,'null')`).join(' || ')} || chr(10))`)
await m('concat()', `encode(concat(${cols.map(x=>`'"${x}":', coalesce(to_json("${x}")::varchar,'null')`).join(', ')}, chr(10)))`)
}
