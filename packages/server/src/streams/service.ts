import type { AuditLine, Page, PageQuery } from '../control/types.ts'
import type { Principal } from '../domain/access.ts'
import { ClientService, SharingService, UserService } from './actors.ts'
import { BatchService } from './batch-service.ts'
import { Catalog } from './catalog.ts'
import { Context, type ServiceOptions } from './context.ts'
import { GroupService } from './group-service.ts'
import { PartService } from './part-service.ts'
import { RecordService } from './records.ts'
import type { StreamService } from './stream-service.ts'

class Service implements StreamService {
  readonly #context: Context
  readonly streams: Catalog
  readonly records: RecordService
  readonly groups: GroupService
  readonly sharing: SharingService
  readonly clients: ClientService
  readonly users: UserService
  readonly parts: PartService
  readonly batches: BatchService

  constructor(context: Context) {
    this.#context = context
    this.streams = new Catalog(context)
    this.records = new RecordService(context)
    this.groups = new GroupService(context)
    this.clients = new ClientService(context)
    this.sharing = new SharingService(context, this.clients)
    this.users = new UserService(context)
    this.parts = new PartService(context)
    this.batches = new BatchService(context)
  }

  async audit(p: Principal, query: PageQuery = {}): Promise<Page<AuditLine>> {
    this.#context.requireAdministrator(p)
    return await this.#context.control.audit.list({ after: query.after, limit: query.limit })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.logs[Symbol.asyncDispose]()
  }
}

/** Opens the stream service, and finishes what a manager before died over. It is disposed before what it is built on. */
export const openStreamService = async (options: ServiceOptions): Promise<StreamService> => {
  const service = new Service(await Context.open(options))
  await service.streams.finishUnfinished()
  return service
}
