/** zod with `.openapi()`: every schema of the edge is made with this one, so that the API document can be made from it. */
import { extendZodWithOpenApi } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';

extendZodWithOpenApi(z);

export { z };
